"""Bodies that are Arrow streams and arrays, as pyarrow and NumPy write them."""

import io

import numpy as np
import pyarrow as pa
import pytest
import requests

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
NPY = {"Content-Type": "application/x-npy"}


def arrow(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=40)
    return sink.getvalue().to_pybytes()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def result(answer):
    assert answer.ok, answer.text
    return answer.json()["result"]


@pytest.fixture
def points(url, collection):
    path = f"{url}/collections/{collection}"
    result(requests.put(path, json={"vectors": {"size": 8, "distance": "Cosine"}}))
    yield path + "/points"
    requests.delete(path)


def test_tables(points):
    numbers = np.random.default_rng(1).random((100, 8), dtype=np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 8)
    colors = pa.array(["red", "blue"] * 50).dictionary_encode()
    table = pa.table({"id": range(100), "vector": vectors, "color": colors, "size": [1.5, None] * 50})
    result(requests.put(points + "?wait=true", headers=ARROW, data=arrow(table)))
    assert result(requests.post(points + "/count", json={}))["count"] == 100
    assert result(requests.get(points + "/2"))["payload"] == {"color": "red", "size": 1.5}
    assert result(requests.get(points + "/3"))["payload"] == {"color": "blue"}

    as_json = {"searches": [{"query": v.tolist(), "limit": 3, "with_payload": True} for v in numbers[:20]]}
    want = result(requests.post(points + "/query/batch", json=as_json))
    path = points + "/query/batch?limit=3&with_payload=true"
    assert result(requests.post(path, headers=ARROW, data=arrow(pa.table({"vector": vectors[:20]})))) == want
    assert result(requests.post(path, headers=NPY, data=npy(numbers[:20]))) == want


def test_arrays(points):
    numbers = np.eye(8, dtype=np.float16)
    result(requests.put(points + "?wait=true&first_id=10", headers=NPY, data=npy(numbers)))
    found = result(requests.post(points + "/query?limit=1", headers=NPY, data=npy(numbers[3])))
    assert [p["id"] for p in found["points"]] == [13]


def test_strings_and_lists_of_other_tools(points):
    """As polars writes them: large lists, and strings as views."""
    schema = pa.schema([("id", pa.string_view()), ("vector", pa.large_list(pa.float64())), ("text", pa.string_view())])
    table = pa.table([["a", "a text of more than twelve bytes"], [[1.0] * 8] * 2, ["x", "ü" * 20]], schema=schema)
    result(requests.put(points + "?wait=true", headers=ARROW, data=arrow(table)))
    assert result(requests.get(points + "/a text of more than twelve bytes"))["payload"] == {"text": "ü" * 20}


def test_errors_name_the_place(points):
    table = pa.table({"id": [1, 2], "vector": [[1.0] * 8, [1.0] * 7]})
    answer = requests.put(points + "?wait=true", headers=ARROW, data=arrow(table))
    assert answer.status_code == 400
    error = answer.json()["status"]["error"]
    assert error == 'Bad request: Arrow stream: row 1, column "vector": Vector dimension error: expected dim: 8, got 7'
    assert result(requests.post(points + "/count", json={}))["count"] == 0
