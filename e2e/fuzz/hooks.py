"""Leads most generated requests to a collection that exists, with points in it.

The vectors have one dimension, since generated arrays tend to be short.
"""

import io
import itertools

import numpy as np
import pyarrow as pa
import requests
import schemathesis
from hypothesis import strategies as st

COLLECTION = "fuzzed"
CONFIG = {"vectors": {"": {"size": 1, "distance": "Dot"}, "v": {"size": 1, "distance": "Euclid"}}, "sparse_vectors": {"s": {}}}
POINTS = [
    {"id": id, "vector": {"": [n], "v": [-n], "s": {"indices": [n], "values": [1]}}, "payload": {"a": n, "b": {"c": [n, str(n)]}, "0": {"lon": n, "lat": n}}}
    for n, id in enumerate([0, 1, 2, "a", "0", "00000000-0000-0000-0000-000000000000"])
]
calls = itertools.count()


def npy(rows):
    out = io.BytesIO()
    np.save(out, np.array(rows, dtype=np.float32).reshape(len(rows), -1))
    return out.getvalue()


def arrow(rows):
    table = pa.table({"id": range(len(rows)), "vector": rows, "note": [str(row) for row in rows]})
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


@st.composite
def tables(draw, write):
    """Tables of vectors, mostly of one dimension; some are damaged."""
    dim = draw(st.sampled_from([1, 1, 1, 2]))
    row = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=dim, max_size=dim)
    raw = write(draw(st.lists(row, min_size=1, max_size=3)))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 4)) :]
    return raw


schemathesis.openapi.media_type("application/x-npy", tables(npy))
schemathesis.openapi.media_type("application/vnd.apache.arrow.stream", tables(arrow))


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    if path_parameters and "collection" in path_parameters and next(calls) % 8:
        path_parameters["collection"] = COLLECTION
    return path_parameters


@schemathesis.hook
def map_body(ctx, body):
    return shortened(body) if next(calls) % 8 else body


def shortened(value, name=""):
    """Cuts what may be a vector to its dimension, so that it is taken."""
    if isinstance(value, dict):
        return {name: shortened(member, name) for name, member in value.items()}
    if isinstance(value, list):
        numbers = value and all(isinstance(x, (int, float)) for x in value)
        if numbers and name not in ("ids", "points", "has_id", "any", "except", "indices", "values"):
            return value[:1]
        return [shortened(member, name) for member in value]
    return value


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Makes the collection again when a request has dropped it, and lets none
    wait for records of Kafka, which nobody sends."""
    case.headers.pop("X-Freshet-Min-Offsets", None)
    url = f"{case.operation.base_url.rstrip('/')}/collections/{COLLECTION}"
    created = requests.put(url, json=CONFIG, timeout=10)
    if created.status_code != requests.codes.conflict:
        created.raise_for_status()
        requests.put(f"{url}/points?wait=true", json={"points": POINTS}, timeout=10).raise_for_status()
