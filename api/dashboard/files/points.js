// Points of a collection: looked through, filtered, compared and searched by text.

import { at, call, get } from "./api.js";
import { vectors } from "./collections.js";
import { empty, failure, field, h, pending, refocus, select } from "./dom.js";
import { Filter } from "./filter.js";
import { count, idText, shorten, significant, stringify } from "./format.js";

export const title = "Points";

const page = 20; // points at a time

export async function show(main, { leaving, names, go, chosen }) {
  const place = h("div", {});
  main.append(h("h1", {}, "Points"), place);
  try {
    const { collections } = await get("collections");
    if (leaving.aborted) return;
    const all = collections.map((c) => c.name).sort();
    if (!all.length) {
      place.append(empty("There is no collection yet."));
      return;
    }
    const name = names[0] ?? all[0];
    const chooser = field("Collection", select(all.includes(name) ? all : [name, ...all], name, (other) => go("points", other)));
    place.append(chooser);
    const [info, { models }] = await Promise.all([get(`collections/${at(name)}`), get("embedding/models")]);
    if (leaving.aborted) return;
    new Browser(place, chooser, name, info, models).reset();
    if (chosen) refocus(chooser.querySelector("select"));
  } catch (error) {
    if (leaving.aborted) return;
    place.append(pending(error));
    if (chosen) refocus(place.querySelector("select") ?? main);
  }
}

// Browser shows the points that its last question was answered with.
class Browser {
  constructor(place, chooser, name, info, models) {
    this.path = `collections/${at(name)}/points`;
    this.vectors = vectors(info.config.params);
    this.filter = new Filter(() => this.run());
    this.using = select(this.vectors.map((v) => [v.name, v.text]), this.vectors[0]?.name);
    this.list = h("ol", { class: "points" });
    this.status = h("p", { class: "note", role: "status", tabindex: "-1" });
    this.more = h("button", { hidden: true, click: () => this.furtherOnes() }, "More");
    this.back = h("button", { hidden: true, click: () => this.instead(this.reset()) }, "Back to all points");
    const controls = h("div", { class: "controls" }, chooser);
    if (this.vectors.length > 1) controls.append(field("Vector", this.using));
    const form = this.textSearch(models);
    if (form) controls.append(form);
    place.append(controls, this.filter.element, h("div", { class: "headline" }, this.status, this.back), this.list, this.more);
  }

  // textSearch is there if a model makes vectors that a vector here can be compared with.
  textSearch(models) {
    const fits = models.filter((m) => this.vectors.some((v) => !v.sparse && v.size === m.dimension));
    if (!fits.length) return null;
    const text = h("input", { type: "search", placeholder: "what it should be about", autocomplete: "off" });
    const model = select(fits.map((m) => m.name), fits[0].name);
    return h("form", {
      class: "search", role: "search",
      submit: (event) => {
        event.preventDefault();
        if (!text.value.trim()) return this.reset();
        const m = fits.find((f) => f.name === model.value);
        const chosen = this.vectors.find((v) => v.name === this.using.value);
        const using = !chosen.sparse && chosen.size === m.dimension ? chosen.name : this.vectors.find((v) => !v.sparse && v.size === m.dimension).name;
        this.ask({ text: `“${text.value}”`, query: { text: text.value, model: m.name }, using });
      },
    }, field("Search by text", text, "grow"), fits.length > 1 ? field("Model", model) : "", h("button", { type: "submit", class: "primary" }, "Search"));
  }

  reset() {
    this.question = null;
    return this.run();
  }

  ask(question) {
    this.question = question;
    return this.run();
  }

  run() {
    this.list.replaceChildren();
    this.offset = null;
    this.shown = 0;
    this.used = this.filter.read();
    return this.next();
  }

  // instead has the focus on what is said of the points that come instead of others.
  async instead(answered) {
    await answered;
    refocus(this.status);
  }

  // furtherOnes leaves the focus where more can be asked for, or on the first that came.
  async furtherOnes() {
    const before = this.list.children.length;
    await this.next();
    refocus(this.list.children[before]?.querySelector("summary") ?? this.status);
  }

  // next reads more of what was asked for last. An answer that was overtaken is left out.
  async next() {
    const turn = (this.turn = {});
    this.back.hidden = !this.question;
    try {
      const { points, next } = await (this.question ? this.found() : this.scrolled());
      if (turn !== this.turn) return;
      this.list.append(...points.map((p) => this.item(p)));
      this.shown += points.length;
      this.offset = next;
      this.more.hidden = next === null;
      const what = this.question ? `nearest to ${this.question.text}` : this.used ? "that match" : "in the order of their ids";
      this.status.textContent = this.shown ? `${count(this.shown)} points ${what}` : this.question || this.used ? "No point matches." : "The collection has no points.";
    } catch (error) {
      if (turn !== this.turn) return;
      this.status.replaceChildren(failure(error));
      this.more.hidden = true;
    }
  }

  async scrolled() {
    const answer = await call("POST", `${this.path}/scroll`, { limit: page, filter: this.used, offset: this.offset ?? undefined, with_payload: true });
    return { points: answer.points, next: answer.next_page_offset ?? null };
  }

  async found() {
    const { query, using } = this.question;
    const answer = await call("POST", `${this.path}/query`, { query, using: using || undefined, filter: this.used, limit: page, offset: this.offset ?? 0, with_payload: true });
    return { points: answer.points, next: answer.points.length === page ? (this.offset ?? 0) + page : null };
  }

  item(point) {
    const id = idText(point.id);
    const vectors = h("div", {});
    const details = h("details", { toggle: () => details.open && !vectors.children.length && this.inspect(point.id, vectors) },
      h("summary", {}, summary(point.payload)),
      h("pre", {}, stringify(point.payload ?? {}, 2)), vectors);
    return h("li", {},
      h("div", { class: "headline" },
        h("code", { class: "id" }, id),
        point.score === undefined ? "" : h("span", { class: "badge", title: "score" }, significant(point.score)),
        this.vectors.length ? h("button", { class: "quiet", "aria-label": `Find similar to ${id}`, click: () => this.instead(this.ask({ text: shorten(id, 80), query: point.id, using: this.using.value })) }, "Find similar") : ""),
      details);
  }

  // read returns a point with its vectors. A browser takes dots for steps in a path, however
  // they are written, so that ids of dots alone have to be asked for in another way, which
  // does not say which record made the point.
  async read(id) {
    if (!/^\.\.?$/.test(id)) return get(`${this.path}/${at(String(id))}?with_source=true`);
    return (await call("POST", this.path, { ids: [id], with_vector: true }))[0] ?? {};
  }

  // inspect adds what is seldom looked at: vectors, and which record made the point.
  async inspect(id, place) {
    try {
      const point = await this.read(id);
      const found = point.vector ?? {};
      const named = Array.isArray(found) ? [["", found]] : Object.entries(found);
      place.replaceChildren(...named.map(([name, v]) => h("p", { class: "note" }, `${name || "vector"}: ${sketch(v)}`)),
        h("p", { class: "note" }, point.source ? `Written by ${stringify(point.source)}` : ""));
    } catch (error) {
      place.replaceChildren(failure(error));
    }
  }
}

// summary is the beginning of a payload, on one line.
function summary(payload) {
  const members = Object.entries(payload ?? {});
  if (!members.length) return "no payload";
  const text = members.map(([name, value]) => `${name}: ${typeof value === "string" ? value : stringify(value)}`).join(" · ");
  return shorten(text, 240);
}

function sketch(v) {
  if (!Array.isArray(v)) return `sparse, ${count(v.indices?.length ?? 0)} indices`;
  if (Array.isArray(v[0])) return `${count(v.length)} rows of ${count(v[0].length)}`;
  return `[${v.slice(0, 6).map(significant).join(", ")}${v.length > 6 ? ", …" : ""}] ${count(v.length)} numbers`;
}
