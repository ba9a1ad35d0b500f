"""Drives the pipeline that run.sh has started, and measures it.

    pipeline.py create BROKERS
    pipeline.py measure BROKERS FRESHET ENDPOINT ENDPOINT_LOG RECORDS RATE TEXTS…

create makes the topics, once the broker is there. measure produces paragraphs of the files TEXTS with the article's
producer, RATE a second, waits until each can be found, asks questions, and prints where
the time went.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request

import kafka
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

SOURCE, SINK = "documents", "vector-embeddings"
QUESTIONS = [
    "How is a password changed without a restart?",
    "What happens to a record that cannot be decoded?",
    "How much memory does a vector need?",
]


def request(method, url, body=None, header=None, timeout=90):
    """Sends JSON and returns the answer's JSON."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(header or {})}
    with urllib.request.urlopen(urllib.request.Request(url, raw, headers, method=method), timeout=timeout) as answer:
        return json.load(answer)


def paragraphs(files):
    """The prose of Markdown files, one text each."""
    for name in files:
        with open(name, encoding="utf-8") as file:
            for text in re.split(r"\n\s*\n", file.read()):
                text = " ".join(text.split())
                if len(text) > 60 and text[0] not in "|#`[<":
                    yield text[:160]


def quantiles(values):
    """P50 and P99 by nearest rank."""
    values = sorted(values)
    return [values[max(0, -(-len(values) * q // 100) - 1)] for q in (50, 99)]


def create(brokers):
    deadline = time.time() + 60
    while True:
        try:
            admin = KafkaAdminClient(bootstrap_servers=brokers)
            break
        except KafkaError:
            if time.time() > deadline:
                raise
            time.sleep(0.2)  # the broker is starting
    admin.create_topics([NewTopic(SOURCE, 1, 1), NewTopic(SINK, 1, 1)])
    admin.close()


class Pipeline:
    def __init__(self, brokers, freshet, endpoint):
        self.freshet, self.endpoint = freshet, endpoint
        # The article's settings, all of them.
        self.producer = kafka.KafkaProducer(
            bootstrap_servers=brokers,
            acks=1,
            linger_ms=0,
            compression_type=None,
            buffer_memory=67108864,
            value_serializer=lambda v: json.dumps(v).encode("utf-8"),
        )

    def produce(self, n, text):
        self.producer.send(SOURCE, value={"id": f"doc-{n}", "content": text})

    def wait(self, records, seconds):
        """Waits until that many records of the sink's topic can be found."""
        deadline = time.time() + seconds
        header = {"X-Freshet-Min-Offsets": f"{SINK}:0:{records - 1}"}
        while True:
            try:
                found = request("POST", f"{self.freshet}/collections/docs/points/count?timeout=5", {}, header)
                return found["result"]["count"]
            except (urllib.error.HTTPError, urllib.error.URLError, TimeoutError) as error:
                if time.time() > deadline:
                    raise SystemExit(f"record {records - 1} of {SINK} cannot be found after {seconds} s: {error}") from error
                time.sleep(0.1)

    def embed(self, text):
        answer = request("POST", self.endpoint, {"model": "all-MiniLM-L6-v2", "input": text})
        return answer["data"][0]["embedding"]

    def search(self, text, limit=1):
        body = {"query": self.embed(text), "limit": limit, "with_payload": True}
        return request("POST", f"{self.freshet}/collections/docs/points/query", body)["result"]["points"]


def measure(brokers, freshet, endpoint, log, records, rate, files):
    texts = list(dict.fromkeys(paragraphs(files)))
    pipeline = Pipeline(brokers, freshet, endpoint)
    began = time.time()
    pipeline.produce(0, texts[0])
    pipeline.wait(1, seconds=150)
    print(f"Flink's job runs; the first record came through after {time.time() - began:.1f} s")

    began = time.time()
    for n in range(1, records + 1):
        time.sleep(max(0, began + n / rate - time.time()))
        pipeline.produce(n, texts[n % len(texts)])
    pipeline.producer.flush()
    found = pipeline.wait(records + 1, seconds=120)
    print(f"{records} records in {time.time() - began:.1f} s, at {rate} a second; {found} points")
    if found != records + 1:
        raise SystemExit(f"there should be {records + 1} points")
    with open(log, encoding="utf-8") as file:
        inference = [json.loads(line)["seconds"] * 1000 for line in file][1:]

    # A text finds itself, and a question the paragraph that answers it.
    best = pipeline.search(texts[1])[0]
    if best["payload"]["content"] != texts[1] or best["score"] < 0.999:
        raise SystemExit(f"{texts[1]!r} found {best}")
    for question in QUESTIONS:
        best = pipeline.search(question)[0]
        print(f'\n  "{question}"\n    {best["score"]:.3f}  {best["id"]}  {best["payload"]["content"][:90]}…')

    status = request("GET", f"{freshet}/collections/docs/sources/docs/status")["result"]
    stages = {s["stage"]: (s["p50_ms"], s["p99_ms"]) for s in status["stages"]}
    print(f"\n{'From the producer to searchable, ms':<56}{'P50':>9}{'P99':>9}    the article")
    for name, (p50, p99), article in [
        ("inference, in the endpoint", quantiles(inference), "50"),
        ("transit: Kafka, Flink with inference, Kafka", stages["transit"], "15, without inference"),
        ("queue, decode, commit: each below", [max(stages[s][i] for s in ("queue", "decode", "commit")) for i in (0, 1)], ""),
        ("index", stages["index"], "20"),
        ("total", stages["total"], "85"),
    ]:
        print(f"{name:<56}{p50:>9.2f}{p99:>9.2f}    {article}".rstrip())


if __name__ == "__main__":
    if sys.argv[1] == "create":
        create(sys.argv[2])
    else:
        measure(*sys.argv[2:6], int(sys.argv[6]), float(sys.argv[7]), sys.argv[8:])
