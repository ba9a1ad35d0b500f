"""LangChain's own tests of vector stores, and what langchain-qdrant has besides."""

import uuid

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from langchain_tests.integration_tests import VectorStoreIntegrationTests
from qdrant_client import models

SIZE = 16
TEXTS = [f"text {i}" for i in range(20)]


class PlainStore(QdrantVectorStore):
    """Does what LangChain's tests want and langchain-qdrant does not, with any
    server: new documents get ids in the form in which these come back, and a
    point's id is its document's, not a part of the metadata."""

    def add_texts(self, texts, metadatas=None, ids=None, **options):
        texts = list(texts)
        ids = [id or str(uuid.uuid4()) for id in ids or [None] * len(texts)]
        return super().add_texts(texts, metadatas, ids, **options)

    @classmethod
    def _document_from_point(cls, *args):
        document = super()._document_from_point(*args)
        document.id = document.metadata.pop("_id")
        del document.metadata["_collection_name"]
        return document


class TestUnnamedVector(VectorStoreIntegrationTests):
    options = {}

    @pytest.fixture
    def vectorstore(self, url, collection):
        store = PlainStore.construct_instance(
            embedding=self.get_embeddings(),
            client_options={"url": url},
            collection_name=collection,
            **self.options,
        )
        yield store
        store.client.delete_collection(collection)


class TestNamedVector(TestUnnamedVector):
    options = {"vector_name": "dense", "distance": models.Distance.EUCLID}


@pytest.fixture
def store(url, collection):
    store = QdrantVectorStore.from_texts(
        TEXTS,
        DeterministicFakeEmbedding(size=SIZE),
        metadatas=[{"n": i, "group": {"parity": "odd" if i % 2 else "even"}} for i in range(len(TEXTS))],
        ids=[uuid.UUID(int=i).hex for i in range(len(TEXTS))],
        url=url,
        collection_name=collection,
        batch_size=7,
    )
    yield store
    store.client.delete_collection(collection)


def odd():
    return models.Filter(must=[models.FieldCondition(key="metadata.group.parity", match=models.MatchValue(value="odd"))])


def test_search_with_score(store):
    (document, score), *rest = store.similarity_search_with_score("text 3", k=4)
    assert (document.page_content, document.metadata["n"], document.metadata["_id"]) == ("text 3", 3, str(uuid.UUID(int=3)))
    assert score == pytest.approx(1, abs=1e-5)
    assert len(rest) == 3 and all(other < score for _, other in rest)


def test_search_with_filter_and_threshold(store):
    found = store.similarity_search("text 4", k=20, filter=odd())
    assert sorted(d.metadata["n"] for d in found) == list(range(1, 20, 2))
    assert [d.page_content for d in store.similarity_search("text 4", score_threshold=0.999)] == ["text 4"]
    assert store.similarity_search("text 4", filter=odd(), score_threshold=0.999) == []
    exact = store.similarity_search("text 4", k=2, offset=1, search_params=models.SearchParams(exact=True))
    assert len(exact) == 2 and "text 4" not in [d.page_content for d in exact]


async def test_asynchronous(store):
    await store.aadd_documents([Document(page_content="later", metadata={"n": 99})], ids=[str(uuid.UUID(int=99))])
    found = await store.asimilarity_search_with_relevance_scores("later", k=1)
    assert [d.metadata["n"] for d, _ in found] == [99]
    assert await store.adelete([str(uuid.UUID(int=99))])
    assert store.get_by_ids([str(uuid.UUID(int=99))]) == []


def test_existing_collection_is_validated(store, url):
    again = QdrantVectorStore.from_existing_collection(
        collection_name=store.collection_name, embedding=DeterministicFakeEmbedding(size=SIZE), url=url
    )
    assert again.similarity_search("text 7", k=1)[0].page_content == "text 7"
    with pytest.raises(Exception, match="dimensions"):
        QdrantVectorStore.from_existing_collection(
            collection_name=store.collection_name, embedding=DeterministicFakeEmbedding(size=SIZE + 1), url=url
        )


def test_retriever(store):
    retriever = store.as_retriever(search_kwargs={"k": 3, "filter": odd()})
    assert retriever.invoke("text 5")[0].page_content == "text 5"
    diverse = store.as_retriever(search_type="mmr", search_kwargs={"k": 3, "fetch_k": 8, "lambda_mult": 0.3})
    assert diverse.invoke("text 5")[0].page_content == "text 5"


class Words(SparseEmbeddings):
    """A dimension for each word."""

    def embed_query(self, text):
        indices = sorted({hash_of(word) for word in text.split()})
        return SparseVector(indices=indices, values=[1.0] * len(indices))

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def hash_of(word):
    return int.from_bytes(word.encode().ljust(4)[-4:], "big")


@pytest.mark.parametrize("mode", [RetrievalMode.SPARSE, RetrievalMode.HYBRID])
def test_words(url, collection, mode):
    store = QdrantVectorStore.from_texts(
        TEXTS,
        DeterministicFakeEmbedding(size=SIZE),
        sparse_embedding=Words(),
        retrieval_mode=mode,
        url=url,
        collection_name=collection,
    )
    found = store.similarity_search_with_score("text 13", k=3)
    assert found[0][0].page_content == "text 13"
    assert found[0][1] == pytest.approx(2 if mode == RetrievalMode.SPARSE else 1)
    store.client.delete_collection(collection)
