"""Cuts this folder's sample out of a larger set of embeddings.

    python3 make_sample.py FOLDER

FOLDER holds base_f16.npy, queries_f16.npy (rows x 384, float16) and
payload.jsonl.zst, queries_payload.jsonl.zst (one object a row with "key",
"text", "source", "section"). Needs numpy and the zstd program.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np

BASE, QUERIES, SEED = 4000, 40, 7


def rows(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    return [json.loads(line) for line in text.splitlines()]


def cut(folder, vectors, payload, count, out):
    vectors = np.load(folder / vectors)
    payload = rows(folder / payload)
    glosses = [i for i, p in enumerate(payload) if p["source"] == "wn"]
    chosen = sorted(np.random.default_rng(SEED).choice(glosses, count, replace=False))
    (pathlib.Path(out + ".f16")).write_bytes(vectors[chosen].astype("<f2").tobytes())
    lines = "".join(
        json.dumps({"id": p["key"], "text": p["text"], "section": p["section"]}, ensure_ascii=False) + "\n"
        for p in (payload[i] for i in chosen)
    )
    subprocess.run(["zstd", "-q", "-f", "-19", "-o", out + ".jsonl.zst"], input=lines.encode(), check=True)


def main():
    folder = pathlib.Path(sys.argv[1])
    cut(folder, "base_f16.npy", "payload.jsonl.zst", BASE, "base")
    cut(folder, "queries_f16.npy", "queries_payload.jsonl.zst", QUERIES, "queries")


main()
