// The collections and how they are made.

import { at, get } from "./api.js";
import { empty, h, pending, table } from "./dom.js";
import { count, stringify } from "./format.js";

export const title = "Collections";

const most = 200; // collections that are described

export async function show(main, { leaving }) {
  const place = h("div", {}, h("p", { class: "note" }, "Reading…"));
  main.append(h("h1", {}, "Collections"), place);
  try {
    const [{ collections }, { aliases }] = await Promise.all([get("collections"), get("aliases")]);
    const names = collections.map((c) => c.name).sort();
    const infos = await Promise.all(names.slice(0, most).map(async (name) => ({ name, info: await get(`collections/${at(name)}`).catch(() => null) })));
    if (leaving.aborted) return;
    const present = infos.filter((c) => c.info); // others were dropped meanwhile
    place.replaceChildren(present.length
      ? table("Collections", [["Name", ""], ["Points", "figure"], ["Vectors", ""], ["Indexes", ""], ["", ""]], present.map((c) => row(c, aliases)))
      : empty("There is no collection yet.", h("p", {}, "A source makes one from its first record, or the ", h("a", { href: "#/console" }, "console"), " does.")));
    if (names.length > most) place.append(h("p", { class: "note" }, `${most} of ${count(names.length)} collections.`));
  } catch (error) {
    place.replaceChildren(pending(error));
  }
}

function row({ name, info }, aliases) {
  const others = aliases.filter((a) => a.collection_name === name).map((a) => a.alias_name);
  const indexes = Object.entries(info.payload_schema ?? {});
  return [
    h("span", {}, h("a", { href: `#/points/${encodeURIComponent(name)}` }, name), others.length ? h("span", { class: "note" }, ` also ${others.join(", ")}`) : ""),
    count(info.points_count ?? 0),
    h("ul", { class: "plain" }, vectors(info.config.params).map((v) => h("li", {}, v.text))),
    indexes.length ? h("ul", { class: "plain" }, indexes.map(([field, ix]) => h("li", {}, `${field}: ${ix.data_type}, ${count(ix.points)} points`))) : "–",
    h("details", {}, h("summary", {}, "Configuration"), h("pre", {}, stringify(info.config, 2))),
  ];
}

// vectors lists those of a collection: {name, size, text, sparse}.
export function vectors(params) {
  const list = [];
  const dense = params.vectors ?? {};
  const add = (name, v) => list.push({ name, size: v.size, multi: Boolean(v.multivector_config), text: `${name ? `${name}: ` : ""}${v.size}, ${v.distance}${v.multivector_config ? ", multi" : ""}${v.on_disk ? ", on disk" : ""}` });
  if (typeof dense.size === "number") add("", dense);
  else for (const [name, v] of Object.entries(dense)) add(name, v);
  for (const name of Object.keys(params.sparse_vectors ?? {})) list.push({ name, sparse: true, text: `${name}: sparse` });
  return list;
}
