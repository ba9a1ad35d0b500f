// Conditions that all have to hold, in the words of the API's filters.

import { field, h, refocus, select } from "./dom.js";
import { parse } from "./format.js";

const operators = [
  ["is", "is", (key, v) => ({ must: { key, match: { value: v } } })],
  ["not", "is not", (key, v) => ({ must_not: { key, match: { value: v } } })],
  ["text", "contains", (key, v) => ({ must: { key, match: { text: String(v) } } })],
  ["gte", "at least", (key, v) => ({ must: { key, range: { gte: v } } })],
  ["lte", "at most", (key, v) => ({ must: { key, range: { lte: v } } })],
  ["empty", "is empty", (key) => ({ must: { is_empty: { key } } })],
  ["there", "is there", (key) => ({ must_not: { is_empty: { key } } })],
];

// Filter is a form for conditions; changed is called when they are to be used.
export class Filter {
  constructor(changed) {
    this.rows = h("div", { class: "conditions" });
    this.element = h("form", { class: "filter", "aria-label": "Filter", submit: (event) => { event.preventDefault(); changed(); } },
      this.rows,
      h("div", { class: "buttons" },
        this.more = h("button", { type: "button", click: () => this.add().focus() }, "Add condition"),
        this.use = h("button", { type: "submit", class: "primary" }, "Filter")));
    this.changed = changed;
    this.use.hidden = true;
  }

  add() {
    const key = h("input", { placeholder: "member, or a.b", autocomplete: "off", spellcheck: "false" });
    const value = h("input", { autocomplete: "off", spellcheck: "false" });
    const valued = field("Value", value);
    const operator = select(operators.map(([id, text]) => [id, text]), "is", (id) => { valued.hidden = id === "empty" || id === "there"; });
    const row = h("div", { class: "condition" }, field("Member", key), field("Condition", operator), valued,
      h("button", { type: "button", class: "quiet", "aria-label": "Remove condition", click: () => { row.remove(); this.use.hidden = !this.rows.children.length; refocus(this.more); this.changed(); } }, "×"));
    row.read = () => ({ key: key.value.trim(), operator: operator.value, value: value.value });
    this.rows.append(row);
    this.use.hidden = false;
    return key;
  }

  // read returns the filter, undefined for none.
  read() {
    const filter = {};
    for (const row of this.rows.children) {
      const { key, operator, value } = row.read();
      if (!key) continue;
      const made = operators.find(([id]) => id === operator)[2](key, plain(value, operator));
      for (const [clause, condition] of Object.entries(made)) (filter[clause] ??= []).push(condition);
    }
    return Object.keys(filter).length ? filter : undefined;
  }
}

// plain takes numbers and booleans for what they are; quotes make texts of them.
function plain(text, operator) {
  if (operator === "text") return text;
  try {
    const value = parse(text);
    if (typeof value !== "object") return value;
  } catch {
    // It is a text.
  }
  return text;
}
