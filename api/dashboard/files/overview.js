// What this server is, what it holds and whether it is ready.

import { at, get, metrics, send } from "./api.js";
import { empty, failure, h, setText } from "./dom.js";
import { bytes, count, seconds, significant } from "./format.js";
import { live, looked, sources } from "./live.js";

export const title = "Overview";

export function show(main, { leaving }) {
  const ready = h("span", { class: "badge" }, "…");
  const figures = {};
  const tiles = h("dl", { class: "tiles" });
  for (const [name, text] of [["points", "Points"], ["collections", "Collections"], ["lag", "Records waiting"], ["memory", "Memory"], ["disk", "On disk"], ["uptime", "Up for"]]) {
    figures[name] = h("dd", {}, "–");
    tiles.append(h("div", {}, h("dt", {}, text), figures[name]));
  }
  const version = h("p", { class: "note" });
  const largest = h("div", {});
  const ingest = h("div", {});
  const wrong = h("div", {});
  main.append(h("div", { class: "headline" }, h("h1", {}, "Overview"), ready), wrong, tiles,
    h("div", { class: "halves" },
      h("section", {}, h("h2", {}, "Collections"), largest),
      h("section", {}, h("h2", {}, "Ingest"), ingest)),
    version);

  const refresh = async () => {
    try {
      const [is, root] = await Promise.all([send("GET", "readyz"), get("")]);
      setText(ready, is.ok ? "ready" : "not ready");
      ready.className = `badge ${is.ok ? "good" : "bad"}`;
      setText(version, `Freshet ${root.freshet_version ?? ""} (${(root.commit ?? "unknown").slice(0, 12)}), which speaks the API of ${root.version}.`);
      const [found, telemetry] = await Promise.all([metrics(), get("telemetry")]);
      const one = (name) => found.get(name)?.[0]?.value ?? null;
      const points = (found.get("collection_points") ?? []).map((m) => ({ name: m.labels.id, points: m.value }));
      setText(figures.points, count(points.reduce((sum, c) => sum + c.points, 0)));
      setText(figures.collections, count(points.length));
      const memory = one("memory_resident_bytes") ?? one("memory_allocated_bytes");
      setText(figures.memory, memory === null ? "–" : bytes(memory));
      const disk = one("freshet_storage_bytes");
      setText(figures.disk, disk === null ? "–" : bytes(disk));
      setText(figures.uptime, seconds((Date.now() - Date.parse(telemetry.app.startup)) / 1000));
      const memories = new Map();
      for (const m of found.get("freshet_collection_memory_bytes") ?? []) memories.set(m.labels.collection, (memories.get(m.labels.collection) ?? 0) + m.value);
      collections(largest, points, memories);
      wrong.replaceChildren();
    } catch (error) {
      if (!error.status) return;
      const some = error.status === 403 && await readable().catch(() => null);
      if (!some) {
        wrong.replaceChildren(failure(error));
        return;
      }
      // A key for some collections: they are shown, and why there is no more.
      wrong.replaceChildren(h("p", { class: "note" }, "What the whole server holds and takes is for keys that may read everything."));
      collections(largest, some, new Map());
    }
  };
  const seen = () => {
    if (!looked()) return;
    setText(figures.lag, count([...sources.values()].reduce((sum, s) => sum + (s.lag ?? 0), 0)));
    feeds(ingest);
  };
  const tick = () => { refresh(); seen(); };
  live.addEventListener("sources", tick, { signal: leaving });
  tick();
}

// readable returns the collections that this key may see, as far as they are shown.
async function readable() {
  const names = (await get("collections")).collections.map((c) => c.name).sort();
  return Promise.all(names.slice(0, shown).map(async (name) => ({ name, points: (await get(`collections/${at(name)}`)).points_count ?? 0 })));
}

// shown bounds the rows here; the pages of collections and of ingest have all.
const shown = 8;

function collections(place, list, memories) {
  if (!list.length) {
    place.replaceChildren(empty("There is no collection yet.", h("p", {}, "A source makes one from its first record, or the ", h("a", { href: "#/console" }, "console"), " does.")));
    return;
  }
  const most = Math.max(...list.map((c) => c.points), 1);
  const rows = list.sort((a, b) => b.points - a.points).slice(0, shown).map((c) =>
    h("li", {},
      h("a", { href: `#/points/${encodeURIComponent(c.name)}` }, c.name),
      h("span", { class: "note" }, memories.has(c.name) ? bytes(memories.get(c.name)) : ""),
      h("span", { class: "figure" }, count(c.points)),
      h("meter", { min: 0, max: most, value: c.points, "aria-hidden": "true" })));
  update(place, h("ul", { class: "bars" }, rows));
}

function feeds(place) {
  if (!sources.size) {
    place.replaceChildren(empty("No source feeds a collection.", h("p", {}, "Sources are declared in the configuration file, or added by requests.")));
    return;
  }
  const rows = [...sources.values()].sort((a, b) => a.key.localeCompare(b.key)).slice(0, shown).map((s) => h("li", {},
    h("a", { href: `#/ingest/${encodeURIComponent(s.key)}` }, s.info.name === s.info.collection ? s.info.name : `${s.info.name} → ${s.info.collection}`),
    h("span", { class: `badge ${s.status?.state ?? ""}` }, s.status?.state ?? "unknown"),
    h("span", { class: "figure" }, s.status ? `${s.rate === null ? "–" : significant(s.rate)}/s` : "–"),
    h("span", { class: "note wide" }, s.status ? `lag ${count(s.lag)} · P99 ${significant(s.status.batch.p99_ms)} ms · batches of ${count(s.status.batch.limit)}` : s.error),
    s.status?.error ? h("span", { class: "failure wide" }, s.status.error) : ""));
  update(place, h("ul", { class: "bars" }, rows));
}

// update replaces a list, unless somebody is about to follow one of its links.
function update(place, list) {
  if (place.contains(document.activeElement)) return;
  place.replaceChildren(list);
}
