// Requests to the server that the page came from.

import { parse, stringify } from "./format.js";

// The page may be served below a path, by a proxy.
const base = new URL("..", import.meta.url).href;
const keyName = "freshet-api-key";
const patience = 30_000; // milliseconds

// link tells of changes: "away" when the server does not answer, "back" when it does
// again, "locked" when it wants a key.
export const link = new EventTarget();
let away = false;
let since = 0; // when the server went away

export const isAway = () => away;
export const getKey = () => sessionStorage.getItem(keyName) ?? "";

// setKey keeps the key for this tab, until it is closed.
export function setKey(key) {
  if (key) sessionStorage.setItem(keyName, key);
  else sessionStorage.removeItem(keyName);
}

// RequestError is an answer that is not the one hoped for; status 0 for none at all.
export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// tell takes note of what a request has found that began at a time. One that began before
// the server went away does not say that it is back.
function tell(isNow, began) {
  if (isNow === away || (!isNow && began < since)) return;
  away = isNow;
  if (away) since = performance.now();
  link.dispatchEvent(new Event(away ? "away" : "back"));
}

// send returns the answer as it is. The address begins with the page's own server,
// whatever path says: the key goes nowhere else.
export async function send(method, path, text) {
  const headers = {};
  const key = getKey();
  if (key) headers["api-key"] = key;
  if (text) headers["content-type"] = "application/json";
  const started = performance.now();
  try {
    const answer = await fetch(base + path.replace(/^\/+/, ""), {
      method, headers, body: text || undefined, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience),
    });
    const body = await answer.text();
    tell(answer.status === 502, started);
    return { status: answer.status, ok: answer.ok, key, type: answer.headers.get("content-type") ?? "", text: body, ms: performance.now() - started };
  } catch (error) {
    if (error.name === "TimeoutError") throw new RequestError(0, `The server has not answered within ${patience / 1000} s.`);
    if (!(error instanceof TypeError)) throw error;
    // The browser says the same of a server that is away and of a header it will not send.
    if (/[^\x21-\x7e]/.test(key)) throw new RequestError(401, "A key consists of visible characters of ASCII.");
    tell(true, started);
    throw new RequestError(0, "The server does not answer.");
  }
}

// refuse throws if the server wants a key, or another one.
function refuse(answer) {
  const token = answer.status === 403 ? /"(Expired|Invalid)Signature"/.exec(answer.text)?.[1] : undefined;
  if (answer.status !== 401 && !token) return;
  const why = token === "Expired" ? "The token has expired." : answer.key ? "The key is not accepted." : "The server asks for a key.";
  if (answer.key === getKey()) link.dispatchEvent(new CustomEvent("locked", { detail: why })); // else another one was given meanwhile
  throw new RequestError(401, why);
}

// errorOf says what the server says of an error.
function errorOf(answer) {
  try {
    return parse(answer.text).status.error ?? `The server answered ${answer.status}.`;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

// call returns what the envelope holds.
export async function call(method, path, body) {
  const answer = await send(method, path, body === undefined ? "" : stringify(body));
  refuse(answer);
  let envelope;
  try {
    envelope = parse(answer.text);
  } catch {
    throw new RequestError(answer.status, `The server answered ${answer.status}, and no JSON.`);
  }
  if (!answer.ok) throw new RequestError(answer.status, errorOf(answer));
  return envelope.result ?? envelope;
}

export const get = (path) => call("GET", path);

// at is a path of names that may hold anything.
export const at = (...names) => names.map((name) => encodeURIComponent(name)).join("/");

// metrics returns those of the server: name → [{labels, value}].
export async function metrics() {
  const answer = await send("GET", "metrics", "");
  refuse(answer);
  if (!answer.ok) throw new RequestError(answer.status, errorOf(answer));
  const found = new Map();
  for (const line of answer.text.split("\n")) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}
