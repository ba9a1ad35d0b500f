// What each source does, partition by partition, and the batch limit against the P99 that
// moves it.

import { call } from "./api.js";
import { Chart } from "./chart.js";
import { empty, failure, h, refocus, setText, table } from "./dom.js";
import { count, milliseconds, rate, seconds, significant } from "./format.js";
import { live, look, looked, sources } from "./live.js";

export const title = "Ingest";

export function show(main, { leaving, names }) {
  const cards = new Map();
  const list = h("div", {});
  const nothing = h("div", {});
  main.append(h("h1", {}, "Ingest"), nothing, list);
  const refresh = () => {
    if (!looked()) return;
    nothing.replaceChildren(sources.size ? "" : empty("No source feeds a collection.",
      h("p", {}, "Declare one in the configuration file under ", h("code", {}, "sources"), ", or add one with ", h("code", {}, "POST /collections/{collection}/sources"), " in the ", h("a", { href: "#/console" }, "console"), ".")));
    for (const [key, card] of cards) {
      if (sources.has(key)) continue;
      card.element.remove();
      cards.delete(key);
    }
    for (const s of [...sources.values()].sort((a, b) => a.key.localeCompare(b.key))) {
      let card = cards.get(s.key);
      if (!card) {
        card = new Card(s);
        cards.set(s.key, card);
        list.append(card.element);
        if (s.key === names[0]) card.element.scrollIntoView();
      }
      card.update(s);
    }
  };
  live.addEventListener("sources", refresh, { signal: leaving });
  refresh();
}

const lines = [
  [
    { name: "P99 of batches", color: "c1", side: "left", value: (s) => s.p99, show: (v) => milliseconds(v) },
    { name: "batch limit", color: "c2", side: "right", value: (s) => s.limit, show: (v) => significant(v), stepped: true, whole: true },
  ],
  [
    { name: "applied", color: "c3", side: "left", value: (s) => s.rate, show: (v) => rate(v) },
    { name: "lag, records", color: "c4", side: "right", value: (s) => s.lag, show: (v) => count(v), whole: true },
  ],
];

// whys are the reasons why the limit last moved, in words.
const whys = {
  start: "as it began",
  slow: "it fell, as batches were slow",
  fast: "it grew, as batches were fast",
  backlog: "it grew, to work off what waits",
  over_budget: "no size meets the target",
};

// failing says why a source's attempts fail, and since when.
function failing({ error, error_since }) {
  if (!error || !error_since) return error ?? "";
  const since = new Date(error_since);
  const today = since.toDateString() === new Date().toDateString();
  return `${error} – failing since ${today ? since.toLocaleTimeString() : since.toLocaleString()}`;
}

// mostPartitions bounds the rows of one source; those furthest behind are shown.
const mostPartitions = 100;

class Card {
  constructor(s) {
    const { collection, name } = s.info;
    this.state = h("span", { class: "badge" });
    this.figures = {};
    const figures = h("dl", { class: "tiles small" });
    for (const [key, text] of [["rate", "Applied"], ["lag", "Lag"], ["late", "Behind by"], ["p99", "P99 of batches"], ["age", "P99 of age"], ["limit", "Batch limit"], ["letters", "Dead letters"]]) {
      this.figures[key] = h("dd", {}, "–");
      figures.append(h("div", {}, h("dt", {}, text), this.figures[key]));
    }
    this.why = h("p", { class: "note" });
    this.wrong = h("div", {});
    this.chart = new Chart(`P99 of batches, batch limit, rate and lag of ${name}`, lines);
    this.partitions = h("div", {});
    this.stages = h("dl", { class: "stages" });
    const button = (verb, text) => h("button", { click: () => this.to(s.path, verb) }, text);
    this.buttons = { pause: button("pause", "Pause"), resume: button("resume", "Resume"), stop: button("stop", "Stop") };
    this.element = h("section", { class: "card", "aria-label": `Source ${name}` },
      h("div", { class: "headline" },
        h("h2", {}, name, h("span", { class: "note" }, " → ", h("a", { href: `#/points/${encodeURIComponent(collection)}` }, collection))),
        this.state, h("div", { class: "buttons" }, Object.values(this.buttons))),
      this.wrong, figures, this.why, this.chart.element, this.partitions,
      h("details", {}, h("summary", {}, "Where the time goes"), this.stages),
      h("p", { class: "aside" }, h("a", { href: `#/letters/${encodeURIComponent(s.key)}` }, "Dead letters of this source")));
  }

  async to(path, verb) {
    if (this.busy) return;
    this.busy = true;
    try {
      await call("PUT", `${path}/${verb}`);
      this.refused = null;
      await look();
    } catch (error) {
      this.refused = error;
      this.wrong.replaceChildren(failure(error));
    } finally {
      this.busy = false;
      refocus(Object.values(this.buttons).find((b) => !b.hidden));
    }
  }

  update(s) {
    const { status } = s;
    const wanted = s.info.state;
    this.buttons.pause.hidden = wanted !== "running";
    this.buttons.resume.hidden = wanted === "running";
    this.buttons.stop.hidden = wanted === "stopped";
    if (!status) {
      this.wrong.replaceChildren(failure(new Error(s.error)));
      return;
    }
    setText(this.state, status.state);
    this.state.className = `badge ${status.state}`;
    const wrong = this.refused?.message ?? (s.error || failing(status));
    if (wrong !== this.wrong.textContent) this.wrong.replaceChildren(wrong && failure(new Error(wrong)));
    const b = status.batch;
    const late = Math.max(0, ...status.partitions.map((p) => p.lag_seconds));
    for (const [key, text] of Object.entries({
      rate: rate(s.rate), lag: count(s.lag), late: seconds(late), p99: milliseconds(b.p99_ms), age: milliseconds(b.age_p99_ms),
      limit: count(b.limit), letters: count(status.dead_letters.total),
    })) setText(this.figures[key], text);
    setText(this.why, `Limit: ${whys[b.why] ?? b.why}${b.over_budget ? "; over budget" : ""}.`);
    this.chart.update(s.samples);
    this.rows(s);
    this.stages.replaceChildren(...status.stages.map((stage) => h("div", {},
      h("dt", {}, stage.stage), h("dd", {}, `P50 ${milliseconds(stage.p50_ms)} · P99 ${milliseconds(stage.p99_ms)}`))));
  }

  rows(s) {
    if (this.partitions.contains(document.activeElement)) return; // it is being scrolled
    const all = s.status.partitions;
    const some = all.length > mostPartitions ? [...all].sort((a, b) => b.lag - a.lag).slice(0, mostPartitions) : all;
    this.partitions.replaceChildren(table(`Partitions of ${s.info.name}`,
      [["Topic", ""], ["Partition", "figure"], ["State", ""], ["Lag", "figure"], ["Behind", "figure"], ["Rate", "figure"], ["Position", "figure"], ["End", "figure"]],
      some.map((p) => [p.topic, String(p.partition),
        h("span", {}, h("span", { class: `badge ${p.state}` }, p.state), p.error ? ` ${p.error}` : ""),
        count(p.lag), p.lag && !p.lag_seconds ? "–" : seconds(p.lag_seconds), // not known before a record was read
        rate(s.rates.get(`${p.topic}/${p.partition}`) ?? null), count(p.position), count(p.end)])),
    some.length < all.length ? h("p", { class: "note" }, `The ${some.length} furthest behind of ${count(all.length)} partitions.`) : "");
  }
}
