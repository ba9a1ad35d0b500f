// How figures are written.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => grouped.format(n);

export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${significant(n)} ${units[i]}`;
}

export function milliseconds(ms) {
  if (ms < 1000) return `${significant(ms)} ms`;
  return seconds(ms / 1000);
}

export function seconds(s) {
  if (s < 60) return `${significant(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const rate = (perSecond) => (perSecond === null ? "–" : `${significant(perSecond)}/s`);

// significant writes three digits, without an exponent.
export function significant(n) {
  if (n === 0 || !Number.isFinite(n)) return "0";
  if (Math.abs(n) >= 100) return grouped.format(n);
  return String(Number(n.toPrecision(n < 1 ? 2 : 3)));
}

// idText is an id as it is, in quotes where it would look like another one: for spaces at its
// ends, controls, and characters that turn the direction of what follows.
export function idText(id) {
  const text = String(id);
  if (!/^\s|\s$|[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text)) return text;
  return JSON.stringify(text).replace(/[\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// shorten leaves the beginning of what is long.
export const shorten = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

// Integers that a number of JavaScript cannot hold stay what they are, in browsers that
// tell how a number was written.
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source)
      : value);
}

export function stringify(value, indent) {
  return JSON.stringify(value, (_, v) => {
    if (typeof v !== "bigint") return v;
    return JSON.rawJSON ? JSON.rawJSON(v.toString()) : Number(v);
  }, indent);
}
