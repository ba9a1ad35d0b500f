"""llama-index-vector-stores-qdrant, with embeddings that come with the nodes."""

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore

THEMES = ["sea", "town", "wood"]


def node(i):
    return TextNode(
        id_=f"00000000-0000-0000-0000-{i:012d}",
        text=f"node {i}",
        embedding=[1.0, i / 10, (i % 3) / 3],
        metadata={"n": i, "theme": THEMES[i % 3], "weight": i / 4},
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc-{i // 4}")},
    )


@pytest.fixture
def store(client, aclient, collection):
    store = QdrantVectorStore(collection_name=collection, client=client, aclient=aclient, batch_size=5)
    store.add([node(i) for i in range(12)])
    yield store
    store.clear()


def query(**options):
    return VectorStoreQuery(query_embedding=[1.0, 0.0, 0.0], **{"similarity_top_k": 12, **options})


def where(*filters, condition=FilterCondition.AND):
    return MetadataFilters(filters=list(filters), condition=condition)


def found(store, *filters, condition=FilterCondition.AND):
    result = store.query(query(filters=where(*filters, condition=condition)))
    return sorted(n.metadata["n"] for n in result.nodes)


def test_nearest(store):
    result = store.query(query(similarity_top_k=3))
    assert [n.text for n in result.nodes] == ["node 0", "node 3", "node 1"]
    assert result.similarities[0] == pytest.approx(1)
    assert result.similarities == sorted(result.similarities, reverse=True)
    assert result.nodes[2].ref_doc_id == "doc-0"


@pytest.mark.parametrize(
    "operator, key, value, want",
    [
        (FilterOperator.EQ, "theme", "sea", [0, 3, 6, 9]),
        (FilterOperator.EQ, "weight", 0.75, [3]),
        (FilterOperator.NE, "theme", "sea", [1, 2, 4, 5, 7, 8, 10, 11]),
        (FilterOperator.GT, "n", 9, [10, 11]),
        (FilterOperator.GTE, "n", 9, [9, 10, 11]),
        (FilterOperator.LT, "weight", 0.5, [0, 1]),
        (FilterOperator.LTE, "weight", 0.5, [0, 1, 2]),
        (FilterOperator.IN, "theme", ["sea", "town"], [0, 1, 3, 4, 6, 7, 9, 10]),
        (FilterOperator.NIN, "theme", ["sea", "town"], [2, 5, 8, 11]),
        (FilterOperator.TEXT_MATCH, "theme", "ow", [1, 4, 7, 10]),
        (FilterOperator.IS_EMPTY, "nothing", None, list(range(12))),
    ],
)
def test_operators(store, operator, key, value, want):
    assert found(store, MetadataFilter(key=key, value=value, operator=operator)) == want


def test_nested_filters(store):
    sea, late = MetadataFilter(key="theme", value="sea"), MetadataFilter(key="n", value=8, operator=FilterOperator.GT)
    assert found(store, sea, late, condition=FilterCondition.OR) == [0, 3, 6, 9, 10, 11]
    assert found(store, sea, late, condition=FilterCondition.NOT) == [1, 2, 4, 5, 7, 8]
    town = MetadataFilter(key="theme", value="town")
    assert found(store, late, where(sea, town, condition=FilterCondition.OR)) == [9, 10]
    assert [n.metadata["n"] for n in store.query(query(node_ids=[node(5).node_id], doc_ids=["doc-1"])).nodes] == [5]


def test_get_and_delete(store):
    assert [n.text for n in store.get_nodes([node(2).node_id])] == ["node 2"]
    store.delete("doc-0")  # a document's nodes
    assert sorted(n.metadata["n"] for n in store.query(query()).nodes) == list(range(4, 12))
    store.delete_nodes([node(5).node_id])
    store.delete_nodes(filters=where(MetadataFilter(key="theme", value="sea")))
    assert sorted(n.metadata["n"] for n in store.query(query()).nodes) == [4, 7, 8, 10, 11]
    store.add([node(4)])  # again
    assert len(store.get_nodes(filters=where(MetadataFilter(key="n", value=100, operator=FilterOperator.LT)))) == 5


async def test_asynchronous(store):
    await store.async_add([node(20)])
    assert (await store.aquery(query(node_ids=[node(20).node_id]))).nodes[0].text == "node 20"
    await store.adelete_nodes([node(20).node_id])
    assert await store.aget_nodes([node(20).node_id]) == []
    await store.adelete("doc-2")
    assert len((await store.aquery(query())).nodes) == 8
