"""Produces embeddings as the article's application does, and says what it sent.

    producer.py BROKERS TOPIC keyed|unkeyed COUNT RATE

Ids repeat, so that points are updated. With keys, every eleventh record is a
tombstone. Prints the points that a reader of the whole log has to end with:
a JSON object from id to the number of the record that made it.
"""

import json
import sys
import time

import kafka

brokers, topic, mode, count, rate = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])

parameters = {
    "bootstrap_servers": brokers,
    "acks": 1,
    "linger_ms": 0,
    "compression_type": None,
    "value_serializer": lambda v: None if v is None else json.dumps(v).encode("utf-8"),
}
if kafka.__version__.startswith("2."):
    parameters["buffer_memory"] = 67108864  # later releases do not know it
producer = kafka.KafkaProducer(**parameters)

ids = count // 8
expected = {}
failed = []
began = time.time()
stamp = int(began * 1000) - count  # one millisecond a record: no two are equally old
for n in range(count):
    point = f"doc-{n * 7919 % ids}"
    value = {"id": point, "embedding": [((n * 31 + i * 17) % 101) / 101 - 0.5 for i in range(32)], "n": n}
    expected[point] = n
    key = None
    if mode == "keyed":
        key = point.encode()
        if n % 11 == 10:
            value = None
            del expected[point]
    producer.send(topic, value=value, key=key, timestamp_ms=stamp + n).add_errback(failed.append)
    ahead = n / rate - (time.time() - began)
    if ahead > 0.002:
        time.sleep(ahead)
producer.flush()
producer.close()
if failed:
    sys.exit(f"{len(failed)} records failed, the first with {failed[0]!r}")
json.dump(expected, sys.stdout)
