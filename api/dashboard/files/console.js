// A console for requests of one's own.

import { get, send } from "./api.js";
import { failure, field, h, select } from "./dom.js";
import { bytes, milliseconds, parse, stringify } from "./format.js";

export const title = "Console";

const most = 500_000; // characters of an answer that are shown
const examples = [
  ["GET", "/collections", ""],
  ["PUT", "/collections/example", '{\n  "vectors": {"size": 4, "distance": "Cosine"}\n}'],
  ["PUT", "/collections/example/points?wait=true", '{\n  "points": [\n    {"id": 1, "vector": [0.9, 0.1, 0.1, 0.2], "payload": {"city": "Berlin"}},\n    {"id": 2, "vector": [0.1, 0.8, 0.3, 0.1], "payload": {"city": "London"}}\n  ]\n}'],
  ["POST", "/collections/example/points/query", '{\n  "query": [0.2, 0.1, 0.9, 0.7],\n  "limit": 3,\n  "with_payload": true\n}'],
];

// written is kept while the page is open, so that it survives a look at another page.
const written = { method: "GET", path: "/collections", body: "" };

export function show(main) {
  const method = select(["GET", "POST", "PUT", "PATCH", "DELETE"], written.method, (m) => { written.method = m; });
  const path = h("input", { value: written.path, list: "paths", spellcheck: "false", autocomplete: "off", autocapitalize: "off", input: () => { written.path = path.value; } });
  const body = h("textarea", {
    value: written.body, rows: 10, spellcheck: "false", input: () => { written.body = body.value; },
    keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); } },
  });
  const status = h("p", { role: "status", class: "note" });
  const answer = h("pre", { class: "answer", tabindex: "0", "aria-label": "Answer", hidden: true });
  const button = h("button", { type: "submit", class: "primary" }, "Send");
  let waiting = false;
  const fill = ([m, p, b]) => {
    Object.assign(written, { method: m, path: p, body: b });
    [method.value, path.value, body.value] = [m, p, b];
  };
  const form = h("form", {
    class: "console",
    submit: async (event) => {
      event.preventDefault();
      if (waiting) return;
      waiting = true;
      status.textContent = "Waiting…";
      try {
        const a = await send(method.value, path.value, method.value === "GET" ? "" : body.value);
        status.replaceChildren(h("span", { class: `badge ${a.ok ? "good" : "bad"}` }, String(a.status)), ` ${milliseconds(a.ms)}, ${bytes(a.text.length)}`);
        answer.hidden = false;
        answer.textContent = pretty(a);
      } catch (error) {
        status.replaceChildren(failure(error));
      } finally {
        waiting = false;
        status.scrollIntoView({ block: "nearest" });
      }
    },
  },
    h("div", { class: "controls" }, field("Method", method), field("Path", path, "grow"), button),
    field("Body, JSON (Ctrl+Enter sends)", body),
    h("datalist", { id: "paths" }));
  main.append(h("h1", {}, "Console"), form,
    h("div", { class: "buttons" }, h("span", { class: "note" }, "Examples:"),
      examples.map((e) => h("button", { class: "quiet", click: () => fill(e) }, `${e[0]} ${e[1]}`))),
    status, answer);
  suggest(form.querySelector("datalist"));
}

async function suggest(list) {
  const document = await get("openapi.json").catch(() => null); // it is a help, no more
  list.append(...Object.keys(document?.paths ?? {}).map((p) => h("option", { value: p })));
}

function pretty(answer) {
  let text = answer.text;
  if (answer.type.includes("json")) {
    try {
      text = stringify(parse(text), 2);
    } catch {
      // It is shown as it came.
    }
  }
  return text.length > most ? `${text.slice(0, most)}\n… ${bytes(text.length - most)} more` : text;
}
