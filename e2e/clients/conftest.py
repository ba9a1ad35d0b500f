"""What the tests of clients share: the server that they talk to."""

import os
import uuid

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient


@pytest.fixture(scope="session")
def url():
    return os.environ["FRESHET_URL"]


@pytest.fixture
def client(url):
    with_version_check = QdrantClient(url)
    yield with_version_check
    with_version_check.close()


@pytest.fixture
async def aclient(url):
    client = AsyncQdrantClient(url)
    yield client
    await client.close()


@pytest.fixture
def collection():
    """A name that no other test has."""
    return f"test-{uuid.uuid4()}"
