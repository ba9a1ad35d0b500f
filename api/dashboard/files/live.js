// What the sources do, looked at every two seconds while the page is seen, and the last
// ten minutes of it. This is also what notices that the server is away, and back.

import { at, get } from "./api.js";

const every = 2000; // milliseconds
const kept = 300; // samples of a source

// live tells "sources" after each look.
export const live = new EventTarget();

// sources are by "collection/source", both encoded: {key, path, info, status, error, samples, rates}.
export const sources = new Map();

let timer;
let known = false;

// looked says whether the sources are known at all.
export const looked = () => known;

// forget leaves nothing of what was seen with another key.
export function forget() {
  sources.clear();
  known = false;
}

export async function look() {
  clearTimeout(timer);
  try {
    if (!document.hidden) {
      await refresh();
      known = true;
      live.dispatchEvent(new Event("sources"));
    }
  } catch {
    // api.js has told what there is to tell.
  } finally {
    clearTimeout(timer);
    timer = setTimeout(look, every);
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

async function refresh() {
  const { sources: infos } = await get("sources");
  const present = new Set();
  await Promise.all(infos.map(async (info) => {
    const key = at(info.collection, info.name);
    present.add(key);
    const s = sources.get(key) ?? { key, path: `collections/${at(info.collection)}/sources/${at(info.name)}`, samples: [], rates: new Map() };
    s.info = info;
    try {
      observe(s, await get(`${s.path}/status`));
      s.error = "";
    } catch (error) {
      if (error.status === 0 || error.status === 401) throw error;
      s.error = error.message;
    }
    sources.set(key, s);
  }));
  for (const key of sources.keys()) if (!present.has(key)) sources.delete(key);
}

// observe adds a sample. Rates are those at which positions move.
function observe(s, status) {
  const now = Date.now();
  const positions = new Map(status.partitions.map((p) => [`${p.topic}/${p.partition}`, p.position]));
  let total = null;
  s.rates = new Map();
  if (s.positions && now - s.observed < 5 * every) {
    for (const [partition, position] of positions) {
      const moved = position - (s.positions.get(partition) ?? position);
      if (moved < 0) continue; // it was moved back
      const perSecond = (moved * 1000) / (now - s.observed);
      s.rates.set(partition, perSecond);
      total = (total ?? 0) + perSecond;
    }
  }
  s.status = status;
  s.positions = positions;
  s.observed = now;
  s.lag = status.partitions.reduce((sum, p) => sum + p.lag, 0);
  s.rate = total;
  s.samples.push({ t: now, p99: status.batch.p99_ms, limit: status.batch.limit, rate: total, lag: s.lag });
  if (s.samples.length > kept) s.samples.shift();
}
