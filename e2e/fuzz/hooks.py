"""Leads most generated requests to a collection that exists, with points in it.

The vectors have one dimension, since generated arrays tend to be short.
"""

import itertools

import requests
import schemathesis

COLLECTION = "fuzzed"
CONFIG = {"vectors": {"": {"size": 1, "distance": "Dot"}, "v": {"size": 1, "distance": "Euclid"}}, "sparse_vectors": {"s": {}}}
POINTS = [
    {"id": id, "vector": {"": [n], "v": [-n], "s": {"indices": [n], "values": [1]}}, "payload": {"a": n, "b": {"c": [n, str(n)]}, "0": {"lon": n, "lat": n}}}
    for n, id in enumerate([0, 1, 2, "a", "0", "00000000-0000-0000-0000-000000000000"])
]
calls = itertools.count()


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
