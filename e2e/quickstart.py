"""The qdrant-client's quick start, and what else its users do on the first day.

    quickstart.py URL
"""

import asyncio
import sys
import uuid

from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

url = sys.argv[1]
CITIES = ["Berlin", "London", "Moscow", "New York", "Beijing", "Mumbai"]
VECTORS = [
    [0.05, 0.61, 0.76, 0.74],
    [0.19, 0.81, 0.75, 0.11],
    [0.36, 0.55, 0.47, 0.94],
    [0.18, 0.01, 0.85, 0.80],
    [0.24, 0.18, 0.22, 0.44],
    [0.35, 0.08, 0.11, 0.44],
]
QUERY = [0.2, 0.1, 0.9, 0.7]


def points():
    return [models.PointStruct(id=i + 1, vector=v, payload={"city": c}) for i, (v, c) in enumerate(zip(VECTORS, CITIES))]


def in_city(city):
    return models.Filter(must=[models.FieldCondition(key="city", match=models.MatchValue(value=city))])


def check(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def refused(status, text, call):
    try:
        call()
    except UnexpectedResponse as e:
        check(e.status_code, status)
        assert text in e.content.decode(), e.content
    else:
        raise AssertionError(f"nothing was refused, {status} {text!r} expected")


def quick_start(client):
    check(client.collection_exists("test"), False)
    check(client.create_collection("test", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)), True)
    check(client.collection_exists("test"), True)
    info = client.upsert("test", wait=True, points=points())
    check(info.status, models.UpdateStatus.COMPLETED)
    found = client.query_points("test", query=QUERY, limit=3, with_payload=False).points
    check([(p.id, round(p.score, 3), p.payload) for p in found], [(4, 1.362, None), (1, 1.273, None), (3, 1.208, None)])
    found = client.query_points("test", query=QUERY, query_filter=in_city("London"), with_payload=True, limit=3).points
    check([(p.id, p.payload) for p in found], [(2, {"city": "London"})])
    info = client.get_collection("test")
    check((info.status, info.points_count, info.config.params.vectors.size), (models.CollectionStatus.GREEN, 6, 4))
    check([c.name for c in client.get_collections().collections], ["test"])


def any_id(client):
    ids = ["doc-1", "http://example.com/a?b=c", 2**64 - 1, str(uuid.UUID(int=7))]
    client.upsert("test", points=[models.PointStruct(id=i, vector=[0, 0, 0, n], payload={"n": n}) for n, i in enumerate(ids, 1)])
    got = client.retrieve("test", ids=ids, with_payload=["n"], with_vectors=True)
    check([(p.id, p.payload, p.vector) for p in got], [(i, {"n": n}, [0, 0, 0, n]) for n, i in enumerate(ids, 1)])
    nearest = client.query_points("test", query="doc-1", limit=1).points
    check([p.id for p in nearest], [str(uuid.UUID(int=7))])
    client.delete("test", points_selector=ids)
    check(client.count("test").count, 6)


def payloads_and_pages(client):
    client.set_payload("test", payload={"size": {"area": 892}}, points=[1])
    client.set_payload("test", payload={"people": 3.7}, points=[1], key="size")
    check(client.retrieve("test", ids=[1])[0].payload, {"city": "Berlin", "size": {"area": 892, "people": 3.7}})
    client.delete_payload("test", keys=["size.area"], points=in_city("Berlin"))
    client.overwrite_payload("test", payload={"city": "Rome"}, points=[2])
    client.clear_payload("test", points_selector=[3])
    client.update_vectors("test", points=[models.PointVectors(id=6, vector=[1, 1, 1, 1])])
    client.batch_update_points("test", update_operations=[
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"last": True}, points=[6])),
        models.DeleteOperation(delete=models.PointIdsList(points=[5])),
    ])
    page, offset = client.scroll("test", limit=3)
    check([p.id for p in page], [1, 2, 3])
    rest, end = client.scroll("test", limit=3, offset=offset, with_vectors=True)
    check([(p.id, p.payload, p.vector) for p in rest][-1], (6, {"city": "Mumbai", "last": True}, [1, 1, 1, 1]))
    check((offset, end), (4, None))
    check(client.count("test", count_filter=in_city("Rome")).count, 1)
    client.create_payload_index("test", field_name="city", field_schema=models.PayloadSchemaType.KEYWORD)
    check(client.get_collection("test").payload_schema["city"].points, 4)


def batches(client):
    answers = client.query_batch_points("test", requests=[
        models.QueryRequest(query=QUERY, limit=1),
        models.QueryRequest(query=4, limit=1, filter=in_city("Rome"), with_payload=True),
        models.QueryRequest(query=QUERY, limit=2, offset=1, score_threshold=1.25, params=models.SearchParams(hnsw_ef=64, exact=True)),
    ])
    check([[p.id for p in a.points] for a in answers], [[6], [2], [4, 1]])
    client.create_collection("many", vectors_config={"a": models.VectorParams(size=3, distance=models.Distance.COSINE)})
    client.upload_points("many", wait=True, parallel=1, points=[
        models.PointStruct(id=i, vector={"a": [1, i, i % 7]}, payload={"i": i}) for i in range(500)
    ])
    check(client.count("many", exact=True).count, 500)
    found = client.query_points("many", query=[1.0, 0.0, 0.0], using="a", limit=1, with_vectors=True).points[0]
    check((found.id, found.vector), (0, {"a": [1, 0, 0]}))


def aliases(client):
    client.update_collection_aliases(change_aliases_operations=[
        models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="many", alias_name="live")),
    ])
    check(client.count("live").count, 500)
    check([a.alias_name for a in client.get_collection_aliases("many").aliases], ["live"])


def errors(client):
    refused(409, "Collection `test` already exists!", lambda: client.create_collection(
        "test", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)))
    refused(404, "Not found: Collection `none` doesn't exist!", lambda: client.count("none"))
    refused(400, "Vector dimension error: expected dim: 4, got 2", lambda: client.query_points("test", query=[1.0, 2.0]))
    refused(400, "Wrong input: Vector dimension error", lambda: client.upsert("test", points=[models.PointStruct(id=1, vector=[1.0])]))


async def asynchronous():
    client = AsyncQdrantClient(url)
    await client.create_collection("async", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    await client.upsert("async", points=points())
    found = (await client.query_points("async", query=QUERY, limit=2, with_payload=True)).points
    check([(p.id, p.payload["city"]) for p in found], [(4, "New York"), (1, "Berlin")])
    counts = await asyncio.gather(*[client.count("async") for _ in range(50)])
    check({c.count for c in counts}, {6})
    check(await client.delete_collection("async"), True)
    await client.close()


client = QdrantClient(url)
for step in (quick_start, any_id, payloads_and_pages, batches, aliases, errors):
    step(client)
check(client.delete_collection("test"), True)
client.close()
asyncio.run(asynchronous())
print("ok")
