"""An engine for the benchmark in a process of its own: reads commands, answers
with a line of JSON each.

    peer.py ENGINE BASE.npy QUERIES.npy M EF_CONSTRUCT

The first line is {"version": ...}, or {"missing": why} and no more.

    build THREADS HELD     builds anew, without the last HELD rows
    insert                 adds the rest one by one
    search EF K THREADS OUT.npy
                           searches all queries, again and again for a fifth of a
                           second, and writes the rows found; times are of one pass

Times are seconds, wall and CPU of the whole process; bytes are what the process
holds more than before in memory of its own. Vectors are float32 of length 1.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np


class Hnswlib:
    package = "hnswlib"

    def __init__(self, dim, rows, m, ef):
        import hnswlib

        self.index = hnswlib.Index("ip", dim)
        self.index.init_index(rows, M=m, ef_construction=ef, random_seed=1)

    def add(self, first, vectors, threads):
        self.index.add_items(vectors, np.arange(first, first + len(vectors)), num_threads=threads)

    def search(self, queries, ef, k, threads):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=k, num_threads=threads)[0]


class FaissFlat:
    package = "faiss-cpu"

    def __init__(self, dim, rows, m, ef):
        import faiss

        self.faiss = faiss
        self.index = self.hnsw = faiss.IndexHNSWFlat(dim, m, faiss.METRIC_INNER_PRODUCT)
        self.hnsw.hnsw.efConstruction = ef

    def add(self, first, vectors, threads):
        self.faiss.omp_set_num_threads(threads)
        if not self.index.is_trained:
            self.index.train(vectors)
        self.index.add(vectors)

    def search(self, queries, ef, k, threads):
        self.faiss.omp_set_num_threads(threads)
        self.hnsw.hnsw.efSearch = ef
        return self.index.search(queries, k)[1]


class FaissSQ8(FaissFlat):
    """Walks on codes of 8 bits and scores twice as many as are asked for again."""

    def __init__(self, dim, rows, m, ef):
        import faiss

        self.faiss = faiss
        self.hnsw = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, m, faiss.METRIC_INNER_PRODUCT)
        self.hnsw.hnsw.efConstruction = ef
        self.index = faiss.IndexRefineFlat(self.hnsw)
        self.index.k_factor = 2


class Usearch:
    package = "usearch"
    dtype, metric = "f32", "ip"

    def __init__(self, dim, rows, m, ef):
        from usearch.index import Index

        self.index = Index(ndim=dim, metric=self.metric, dtype=self.dtype, connectivity=m, expansion_add=ef)

    def add(self, first, vectors, threads):
        self.index.add(np.arange(first, first + len(vectors)), vectors, threads=threads)

    def search(self, queries, ef, k, threads):
        self.index.expansion_search = ef
        return self.index.search(queries, k, threads=threads).keys.astype(np.int64)


class UsearchI8(Usearch):
    dtype, metric = "i8", "cos"


ENGINES = {
    "hnswlib": Hnswlib,
    "faiss-flat": FaissFlat,
    "faiss-sq8": FaissSQ8,
    "usearch-f32": Usearch,
    "usearch-i8": UsearchI8,
}


# Seconds for which a search is repeated, as in freshet.go.
AT_LEAST = 0.2


def own_bytes():
    """Memory of the process that no file is behind; 0 where that is not known."""
    try:
        with open("/proc/self/status") as status:
            return sum(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))
    except OSError:
        return 0


class Spent:
    """Wall and CPU time of a block."""

    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = time.process_time() - self.cpu, time.perf_counter() - self.wall


def serve(make, base, queries, commands):
    index = held = None
    for line in commands:
        command, *args = line.split()
        if command == "build":
            threads, held = map(int, args)
            index = None
            before = own_bytes()
            with Spent() as spent:
                index = make(base.shape[1], len(base))
                index.add(0, base[: len(base) - held], threads)
            yield {"wall": spent.wall, "cpu": spent.cpu, "bytes": own_bytes() - before}
        elif command == "insert":
            walls, cpus = [], []
            for row in range(len(base) - held, len(base)):
                with Spent() as spent:
                    index.add(row, base[row : row + 1], 1)
                walls.append(spent.wall)
                cpus.append(spent.cpu)
            yield {"walls": walls, "cpus": cpus}
        elif command == "search":
            ef, k, threads = map(int, args[:3])
            passes, end = 0, time.perf_counter() + AT_LEAST
            with Spent() as spent:
                while passes == 0 or time.perf_counter() < end:
                    rows = index.search(queries, max(ef, k), k, threads)
                    passes += 1
            np.save(args[3], rows.astype(np.int32))
            yield {"wall": spent.wall / passes, "cpu": spent.cpu / passes}


def main():
    name, base, queries, m, ef = sys.argv[1:]
    base, queries = np.load(base, mmap_mode="r"), np.load(queries)
    engine = ENGINES[name]
    try:
        engine(base.shape[1], 1, int(m), int(ef))
        hello = {"version": f"{engine.package} {version(engine.package)}"}
    except Exception as error:  # whatever is wrong with a package, it is missing
        hello = {"missing": f"{type(error).__name__}: {error}"}
    print(json.dumps(hello), flush=True)
    if "missing" in hello:
        return
    for answer in serve(lambda dim, rows: engine(dim, rows, int(m), int(ef)), base, queries, sys.stdin):
        print(json.dumps(answer), flush=True)


main()
