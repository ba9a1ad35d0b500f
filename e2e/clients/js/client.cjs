// @qdrant/js-client-rest, as its README and its users call it.
//
//     node --test client.cjs, with the server in FRESHET_URL

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { QdrantClient } = require("@qdrant/js-client-rest");

const client = new QdrantClient({ url: process.env.FRESHET_URL });
// 1.18 is the last that calls the older search endpoints.
const older = new (require("js-client-rest-older").QdrantClient)({ url: process.env.FRESHET_URL });
const name = "js";
const ids = (points) => points.map((p) => p.id);
const inCity = (city) => ({ must: [{ key: "city", match: { value: city } }] });

before(async () => {
  assert.equal(await client.createCollection(name, { vectors: { size: 4, distance: "Dot" } }), true);
  const done = await client.upsert(name, {
    wait: true,
    points: [
      { id: 1, vector: [0.05, 0.61, 0.76, 0.74], payload: { city: "Berlin", n: 1 } },
      { id: 2, vector: [0.19, 0.81, 0.75, 0.11], payload: { city: ["Berlin", "London"], n: 2 } },
      { id: 3, vector: [0.36, 0.55, 0.47, 0.94], payload: { city: ["Berlin", "Moscow"], n: 3 } },
      { id: 4, vector: [0.18, 0.01, 0.85, 0.8], payload: { city: ["London", "Moscow"], n: 4 } },
      { id: "98a9a4b1-4ef2-46fb-8315-a97d874fe1d7", vector: [0.24, 0.18, 0.22, 0.44], payload: { n: 5 } },
      { id: "any string", vector: [0.35, 0.08, 0.11, 0.44] },
    ],
  });
  assert.equal(done.status, "completed");
});

after(async () => {
  assert.equal(await client.deleteCollection(name), true);
  assert.deepEqual(await client.collectionExists(name), { exists: false });
});

test("service", async () => {
  assert.equal((await client.versionInfo()).version, "1.19.0");
  assert.deepEqual(await client.getCollections(), { collections: [{ name }] });
  const info = await client.getCollection(name);
  assert.deepEqual([info.status, info.points_count, info.config.params.vectors.size], ["green", 6, 4]);
  const telemetry = await client.api().telemetry({});
  assert.equal(telemetry.data.status, "ok");
});

test("search", async () => {
  const query = [0.2, 0.1, 0.9, 0.7];
  assert.deepEqual(ids(await older.search(name, { vector: query, limit: 3 })), [4, 1, 3]);
  const found = await older.search(name, { vector: query, limit: 3, filter: inCity("London"), params: { hnsw_ef: 64 } });
  assert.deepEqual(ids(found), [4, 2]);
  assert.deepEqual(found[1].payload.city, ["Berlin", "London"]);
  const batch = await older.searchBatch(name, { searches: [{ vector: query, limit: 1 }, { vector: query, limit: 2, offset: 1 }] });
  assert.deepEqual(batch.map(ids), [[4], [1, 3]]);
  const answer = await client.query(name, { query: "any string", limit: 1, with_vector: true });
  assert.deepEqual(ids(answer.points), [3]);
  assert.equal(answer.points[0].vector.length, 4);
  const answers = await client.queryBatch(name, { searches: [{ query, limit: 1 }, { limit: 2 }] });
  assert.deepEqual(answers.map((a) => ids(a.points)), [[4], [1, 2]]);
});

test("recommend and fuse", async () => {
  const found = await older.recommend(name, { positive: [1], negative: [2], limit: 2, filter: inCity("Moscow") });
  assert.deepEqual(ids(found).sort(), [3, 4]);
  const batch = await older.recommendBatch(name, { searches: [{ positive: [4], limit: 1 }, { positive: [2], limit: 1 }] });
  assert.deepEqual(batch.map((b) => b.length), [1, 1]);
  const fused = await client.query(name, {
    prefetch: [{ query: [0.2, 0.1, 0.9, 0.7], limit: 2 }, { query: [0.2, 0.1, 0.9, 0.7], limit: 2, filter: inCity("London") }],
    query: { fusion: "rrf" },
    limit: 1,
  });
  assert.deepEqual(fused.points.map((p) => [p.id, p.score]), [[4, 1]]);
});

test("read", async () => {
  const some = await client.retrieve(name, { ids: ["any string", 2], with_vector: true, with_payload: ["n"] });
  assert.deepEqual(some.map((p) => [p.id, p.payload]), [["any string", {}], [2, { n: 2 }]]);
  const page = await client.scroll(name, { limit: 4, filter: { must_not: [{ has_id: [1] }] } });
  assert.deepEqual(ids(page.points), [2, 3, 4, "98a9a4b1-4ef2-46fb-8315-a97d874fe1d7"]);
  assert.equal(page.next_page_offset, "any string");
  assert.deepEqual(await client.count(name, { filter: inCity("Moscow") }), { count: 2 });
});

test("write", async () => {
  await client.upsert(name, { batch: { ids: [7, 8], vectors: [[1, 0, 0, 0], [0, 1, 0, 0]], payloads: [{ a: 1 }, null] } });
  await client.setPayload(name, { payload: { b: 2 }, points: [7] });
  await client.overwritePayload(name, { payload: { c: 3 }, points: [8] });
  await client.deletePayload(name, { keys: ["a"], filter: { must: [{ has_id: [7] }] } });
  await client.updateVectors(name, { points: [{ id: 8, vector: [0, 0, 0, 1] }] });
  assert.deepEqual(
    (await client.retrieve(name, { ids: [7, 8], with_vector: true })).map((p) => [p.payload, p.vector]),
    [[{ b: 2 }, [1, 0, 0, 0]], [{ c: 3 }, [0, 0, 0, 1]]],
  );
  const results = await client.batchUpdate(name, {
    operations: [{ clear_payload: { points: [7] } }, { delete_vectors: { points: [8], vector: [""] } }],
  });
  assert.deepEqual(results.map((r) => r.status), ["completed", "completed"]);
  await client.delete(name, { points: [7] }); // does not wait
  await client.delete(name, { wait: true, filter: { must: [{ has_id: [8] }] } });
  assert.deepEqual(await client.count(name), { count: 6 });
});

test("indexes and aliases", async () => {
  await client.createPayloadIndex(name, { wait: true, field_name: "city", field_schema: "keyword" });
  await client.createPayloadIndex(name, { wait: true, field_name: "n", field_schema: { type: "integer", lookup: true, range: true } });
  assert.equal((await client.getCollection(name)).payload_schema.city.points, 4);
  await client.deletePayloadIndex(name, "n");
  await client.updateCollectionAliases({ actions: [{ create_alias: { collection_name: name, alias_name: "live" } }] });
  assert.deepEqual((await client.getAliases()).aliases, [{ alias_name: "live", collection_name: name }]);
  assert.deepEqual(await client.count("live"), { count: 6 });
});

test("errors", async () => {
  await assert.rejects(client.count("none"), (e) => e.status === 404 && /doesn't exist/.test(e.data.status.error));
  await assert.rejects(older.search(name, { vector: [1], limit: 1 }), (e) => e.status === 400 && /expected dim: 4, got 1/.test(e.data.status.error));
});
