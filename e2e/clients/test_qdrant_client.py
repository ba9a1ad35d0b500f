"""What qdrant-client offers beyond the quick start, by both of its clients."""

import inspect

import pytest
from qdrant_client import models


class Awaitable:
    """The client without async behind the interface of the one with it."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        method = getattr(self.client, name)
        assert not inspect.iscoroutinefunction(method)

        async def call(*args, **options):
            return method(*args, **options)

        return call


@pytest.fixture(params=["sync", "async"])
async def filled(request, client, aclient, collection):
    """Calls on a collection with points 0 to 19, as (client, name)."""
    either = Awaitable(client) if request.param == "sync" else aclient
    await either.create_collection(
        collection,
        vectors_config={
            "plane": models.VectorParams(size=2, distance=models.Distance.EUCLID),
            "space": models.VectorParams(size=3, distance=models.Distance.DOT),
        },
    )
    await either.upsert(
        collection,
        points=models.Batch(
            ids=list(range(20)),
            vectors={"plane": [[i, 0] for i in range(20)], "space": [[1, i, 0] for i in range(20)]},
            payloads=[{"n": i, "kind": "ab"[i % 2], "at": {"lon": i, "lat": 0}, "when": f"2024-01-{i + 1:02}"} for i in range(20)],
        ),
    )
    yield either, collection
    await either.delete_collection(collection)


def ids(points):
    return [p.id for p in points]


def having(**conditions):
    return models.Filter(must=[models.FieldCondition(**conditions)])


async def test_named_vectors(filled):
    c, name = filled
    found = (await c.query_points(name, query=[3.2, 0], using="plane", limit=3, with_vectors=["space"])).points
    assert ids(found) == [3, 4, 2]
    assert found[0].score == pytest.approx(0.2) and found[0].vector == {"space": [1, 3, 0]}
    found = (await c.query_points(name, query=7, using="plane", limit=2, score_threshold=1.5)).points
    assert sorted(ids(found)) == [6, 8]


@pytest.mark.parametrize("indexed", [False, True])
async def test_filters(filled, indexed):
    c, name = filled
    if indexed:
        for field, kind in {"kind": "keyword", "n": "integer", "at": "geo", "when": "datetime"}.items():
            await c.create_payload_index(name, field, models.PayloadSchemaType(kind))
    for want, condition in {
        10: having(key="kind", match=models.MatchValue(value="a")),
        4: having(key="n", range=models.Range(gte=3, lt=7)),
        3: having(key="at", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=5, lat=0), radius=120_000)),
        9: having(key="at", geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=0.5, lat=1), bottom_right=models.GeoPoint(lon=9.5, lat=-1))),
        6: having(key="when", range=models.DatetimeRange(gt="2024-01-14T12:00:00Z")),
        2: models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 99])]),
        18: models.Filter(must_not=[models.HasIdCondition(has_id=[1, 2, 99])]),
        20: models.Filter(should=[models.HasVectorCondition(has_vector="plane"), models.IsEmptyCondition(is_empty=models.PayloadField(key="n"))]),
        7: models.Filter(min_should=models.MinShould(min_count=2, conditions=[
            models.FieldCondition(key="n", range=models.Range(lt=14)),
            models.FieldCondition(key="kind", match=models.MatchAny(any=["b"])),
            models.FieldCondition(key="none", match=models.MatchValue(value=1)),
        ])),
    }.items():
        assert (await c.count(name, count_filter=condition)).count == want, condition
    page, after = await c.scroll(name, scroll_filter=having(key="kind", match=models.MatchExcept(**{"except": ["a"]})), limit=4, with_payload=["n"])
    assert ([p.payload for p in page], after) == ([{"n": 1}, {"n": 3}, {"n": 5}, {"n": 7}], 9)


async def test_configuration(filled):
    c, name = filled
    await c.update_collection(
        name,
        hnsw_config=models.HnswConfigDiff(ef_construct=222),
        vectors_config={"plane": models.VectorParamsDiff(on_disk=True)},
        quantization_config=models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)),
    )
    await c.create_payload_index(name, "text", models.TextIndexParams(type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.WORD))
    info = await c.get_collection(name)
    assert info.status == models.CollectionStatus.GREEN
    assert info.config.hnsw_config.ef_construct == 222
    assert info.config.params.vectors["plane"].on_disk
    assert info.config.quantization_config.scalar.type == models.ScalarType.INT8
    assert info.payload_schema["text"].params.tokenizer == models.TokenizerType.WORD
    await c.delete_payload_index(name, "text")
    assert (await c.get_collection(name)).payload_schema == {}


async def test_vectors_of_points(filled):
    c, name = filled
    await c.delete_vectors(name, vectors=["space"], points=[4, 5])
    assert ids((await c.query_points(name, query=[0, 1, 0], using="space", limit=30)).points) == [*range(19, 5, -1), *range(3, -1, -1)]
    await c.update_vectors(name, points=[models.PointVectors(id=4, vector={"space": [0, 99, 0]})])
    found = (await c.query_points(name, query=[0, 1, 0], using="space", limit=1, with_vectors=True)).points
    assert [(p.id, p.vector) for p in found] == [(4, {"space": [0, 99, 0], "plane": [4, 0]})]
