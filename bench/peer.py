"""hnswlib as a peer for the benchmark: reads commands, answers with lines.

    peer.py BASE.npy QUERIES.npy M EF_CONSTRUCT

Commands: "build" answers with seconds; "search EF K OUT.npy" with seconds for
all queries, and writes the rows found to OUT.npy. Vectors are float32 of
length 1. One thread.
"""

import sys
import time

import hnswlib
import numpy as np

base, queries = np.load(sys.argv[1]), np.load(sys.argv[2])
index = hnswlib.Index("ip", base.shape[1])
index.init_index(len(base), M=int(sys.argv[3]), ef_construction=int(sys.argv[4]), random_seed=1)
index.set_num_threads(1)
for line in sys.stdin:
    command, *args = line.split()
    began = time.perf_counter()
    if command == "build":
        index.add_items(base, num_threads=1)
        print(time.perf_counter() - began, flush=True)
    elif command == "search":
        index.set_ef(max(int(args[0]), int(args[1])))
        began = time.perf_counter()
        rows, _ = index.knn_query(queries, k=int(args[1]), num_threads=1)
        took = time.perf_counter() - began
        np.save(args[2], rows.astype(np.int32))
        print(took, flush=True)
