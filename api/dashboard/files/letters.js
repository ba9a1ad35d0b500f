// Records that could not become points, why, and another try.

import { call, get } from "./api.js";
import { ask, empty, failure, field, h, refocus, select } from "./dom.js";
import { count } from "./format.js";
import { live, looked, sources } from "./live.js";

export const title = "Dead letters";

const most = 100; // letters that are shown

export function show(main, { leaving, names, go, chosen }) {
  const place = h("div", {});
  main.append(h("h1", {}, "Dead letters"), place);
  const begin = () => {
    if (!looked()) return;
    stop.abort();
    const all = [...sources.values()];
    if (!all.length) {
      place.append(empty("No source feeds a collection, so nothing can have failed."));
      return;
    }
    const s = sources.get(names[0]) ?? all.sort((a, b) => (b.status?.dead_letters.total ?? 0) - (a.status?.dead_letters.total ?? 0))[0];
    new Letters(place, s, all, go).refresh();
    if (chosen) refocus(place.querySelector("select"));
  };
  const stop = new AbortController();
  leaving.addEventListener("abort", () => stop.abort());
  live.addEventListener("sources", begin, { signal: stop.signal });
  begin();
}

class Letters {
  constructor(place, s, all, go) {
    this.path = `${s.path}/dlq`;
    this.name = s.info.name;
    this.reason = "";
    this.reasons = new Set();
    this.list = h("ol", { class: "points" });
    this.status = h("div", { role: "status" });
    this.result = h("div", { role: "status", tabindex: "-1" });
    this.reasonPlace = h("div", {});
    this.all = h("button", { class: "primary", hidden: true, click: () => this.redrive({ reason: this.reason || undefined }) }, "Try all again");
    place.append(
      h("div", { class: "controls" },
        field("Source", select(all.map((o) => [o.key, `${o.info.name} → ${o.info.collection}`]), s.key, (key) => go("letters", key))),
        this.reasonPlace,
        h("div", { class: "buttons" }, h("button", { click: () => this.refresh() }, "Refresh"), this.all)),
      this.result, this.status, this.list);
  }

  async refresh() {
    try {
      const query = new URLSearchParams({ limit: most });
      if (this.reason) query.set("reason", this.reason);
      const { records } = await get(`${this.path}?${query}`);
      for (const r of records) this.reasons.add(r.reason);
      const options = [["", "every reason"], ...[...this.reasons].sort()];
      const reason = select(options, this.reason, (chosen) => { this.reason = chosen; this.refresh(); });
      const focused = this.reasonPlace.contains(document.activeElement);
      this.reasonPlace.replaceChildren(field("Reason", reason));
      if (focused) reason.focus();
      this.list.replaceChildren(...records.map((r) => this.item(r)));
      this.all.hidden = !records.length;
      this.status.replaceChildren(records.length
        ? h("p", { class: "note" }, records.length === most ? `The oldest ${most}.` : `${count(records.length)} ${records.length === 1 ? "record" : "records"}, the oldest first.`)
        : empty(`No dead letters of ${this.name}${this.reason ? ` with the reason ${this.reason}` : ""}.`));
    } catch (error) {
      this.status.replaceChildren(error.status === 404 ? empty(`The collection of ${this.name} is not made yet, so nothing can have failed.`) : failure(error));
    }
  }

  item(r) {
    const where = `${r.topic}:${r.partition}:${r.offset}`;
    return h("li", {},
      h("div", { class: "headline" },
        h("span", { class: "badge failed" }, r.reason), h("code", { class: "id" }, where),
        h("time", { class: "note", datetime: r.timestamp }, new Date(r.timestamp).toLocaleString()),
        h("button", { class: "quiet", "aria-label": `Try ${where} again`, click: () => this.redrive({ topic: r.topic, partition: r.partition, offset: r.offset }) }, "Try again")),
      h("p", {}, r.detail),
      h("details", {}, h("summary", {}, "Key and value"),
        h("pre", {}, `${written(r.key)}\n\n${written(r.value)}${r.truncated ? "\n\n… the rest is not kept here" : ""}`)));
  }

  // redrive tries without changing anything first, and shows what would become of it.
  async redrive(filter) {
    try {
      this.result.replaceChildren(h("p", { class: "note" }, "Trying…"));
      const tried = await call("POST", `${this.path}/redrive`, { filter, dry_run: true });
      this.result.replaceChildren();
      if (!tried.applied && !tried.stale) {
        this.result.replaceChildren(outcome(tried, "would fail again"));
        return;
      }
      if (!(await ask("Try these records again?", outcome(tried, "would fail again"), `Apply ${count(tried.applied)}`))) return;
      const done = await call("POST", `${this.path}/redrive`, { filter, dry_run: false });
      this.result.replaceChildren(outcome(done, "failed again"));
      await this.refresh();
      refocus(this.result);
    } catch (error) {
      this.result.replaceChildren(failure(error));
    }
  }
}

function outcome(r, failed) {
  return h("div", {},
    h("p", {}, `${count(r.matched)} tried: ${r.dry_run ? `${count(r.applied)} can be applied` : `${count(r.applied)} applied`}, ${count(r.stale)} overtaken by newer records, ${count(r.failed)} ${failed}.`),
    r.errors?.length ? h("ul", { class: "plain" }, r.errors.slice(0, 10).map((e) => h("li", {}, h("code", {}, `${e.topic}:${e.partition}:${e.offset}`), ` ${e.reason}: ${e.detail}`))) : "");
}

function written(value) {
  if (value === null) return "null";
  if (typeof value === "string") return value;
  return `base64: ${value.base64}`;
}
