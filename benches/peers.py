"""The peers that have Python wheels (FAISS, usearch), on the files that the `peers` bench writes.

    python3 benches/peers.py FOLDER --threads 1,2

FOLDER holds rows.f32, probes.f32 (row-major, unit length) and setting.json. One line of JSON is printed for
each system. An index is built once and kept in FOLDER, with the seconds that it took.

    pip install numpy faiss-cpu==1.15.1 usearch==2.26.6
"""

import argparse
import json
import os
import statistics
import sys
import time

import numpy as np


def median_s(times, run):
    run(0)
    seconds = []
    for turn in range(times):
        began = time.perf_counter()
        run(turn)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


class Bench:
    def __init__(self, folder, threads):
        self.folder = folder
        self.threads = threads
        with open(os.path.join(folder, "setting.json")) as file:
            self.setting = json.load(file)
        dimension = self.setting["dimension"]
        self.rows = np.fromfile(os.path.join(folder, "rows.f32"), np.float32).reshape(-1, dimension)
        self.probes = np.fromfile(os.path.join(folder, "probes.f32"), np.float32).reshape(-1, dimension)
        self.truth = [set(hits) for hits in self.setting["truth"]]
        # As many candidates as the longest true list, and some more: a threshold is applied to them.
        self.k = max(20, 2 * max(len(hits) for hits in self.truth))

    def lost(self, found):
        hits = sum(len(hits) for hits in self.truth)
        kept = sum(len(hits & set(int(i) for i in row)) for hits, row in zip(self.truth, found))
        return (hits - kept) / hits

    def tell(self, name, kind, build_s, size, search, batches=(64,)):
        """`search(probes, threads)` gives a row of slots for each probe."""
        found = np.concatenate([search(self.probes[i : i + 256], max(self.threads)) for i in range(0, len(self.probes), 256)])
        speeds = []
        for threads in self.threads:
            for batch in (1, *batches):
                chunks = [self.probes[i : i + batch] for i in range(0, len(self.probes) - batch + 1, batch)]
                seconds = median_s(15 if batch == 1 else 5, lambda turn: search(chunks[turn % len(chunks)], threads))
                speeds.append({"threads": threads, "batch": batch, "pass_s": seconds})
        line = {
            "system": name,
            "kind": kind,
            "build_s": build_s,
            "bytes": size,
            "lost": self.lost(found),
            "speeds": speeds,
        }
        print(json.dumps(line), flush=True)

    def kept(self, name, build, load, save):
        """An index from the folder, or built and put there; and the seconds that building took."""
        path = os.path.join(self.folder, name)
        of_rows = float(self.rows[:: max(1, len(self.rows) // 1000)].sum(dtype=np.float64))
        if os.path.exists(path + ".json"):
            with open(path + ".json") as file:
                kept = json.load(file)
            if kept.get("of_rows") == of_rows:
                return load(path), kept["build_s"]
        began = time.perf_counter()
        index = build()
        build_s = time.perf_counter() - began
        save(index, path)
        with open(path + ".json", "w") as file:
            json.dump({"build_s": build_s, "of_rows": of_rows}, file)
        return index, build_s


def faiss_systems(bench):
    import faiss

    n, dimension = bench.rows.shape
    threads = max(bench.threads)
    faiss.omp_set_num_threads(threads)

    def searcher(index):
        def search(probes, threads):
            faiss.omp_set_num_threads(threads)
            return index.search(probes, bench.k)[1]

        return search

    flat = faiss.IndexFlatIP(dimension)
    began = time.perf_counter()
    flat.add(bench.rows)
    bench.tell("FAISS flat f32", "exact", time.perf_counter() - began, 4 * dimension, searcher(flat), (64, 256))
    del flat
    sample = bench.rows[:: max(1, n // 65536)]
    specs = [
        ("SQ8", "SQ8", dimension, None),
        (f"PQ{dimension // 4}x4fs,RFlat", "PQ fast-scan", dimension // 8 + 4 * dimension, 16),
        (f"PQ{dimension // 2}x4fs,RFlat", "PQ fast-scan", dimension // 4 + 4 * dimension, 4),
    ]
    for spec, kind, size, factor in specs:

        def build(spec=spec):
            index = faiss.index_factory(dimension, spec, faiss.METRIC_INNER_PRODUCT)
            index.train(sample)
            index.add(bench.rows)
            return index

        name = "faiss-" + spec.replace(",", "-")
        index, build_s = bench.kept(name, build, faiss.read_index, lambda index, path: faiss.write_index(index, path))
        if factor:
            faiss.downcast_index(index).k_factor = factor
        bench.tell(f"FAISS {spec}", kind, build_s, size, searcher(index))
        del index


def usearch_systems(bench):
    from usearch.index import Index, MetricKind, search as exact

    n, dimension = bench.rows.shape
    threads = max(bench.threads)

    def int8(values):
        return np.round(values * (127 / np.abs(values).max(axis=1, keepdims=True))).astype(np.int8)

    rows = int8(bench.rows)
    slots = np.arange(n, dtype=np.uint64)

    def make():
        return Index(ndim=dimension, metric="cos", dtype="i8", connectivity=16, expansion_add=128)

    def build():
        index = make()
        index.add(slots, rows, threads=threads)
        return index

    def exactly(probes, threads):
        found = exact(rows, int8(probes), bench.k, MetricKind.Cos, exact=True, threads=threads)
        return found.keys.reshape(len(probes), -1)

    bench.tell("usearch exact i8", "int8 exhaustive", 0.0, dimension, exactly)
    index, build_s = bench.kept(
        "usearch-i8", build, lambda path: Index.restore(path, expansion_add=128), lambda index, path: index.save(path)
    )
    size = index.serialized_length / n
    for expansion in (64, 256, 1024, 2048):

        def search(probes, threads, expansion=expansion):
            index.expansion_search = expansion
            return index.search(int8(probes), bench.k, threads=threads).keys.reshape(len(probes), -1)

        bench.tell(f"usearch HNSW i8 ef {expansion}", "HNSW", build_s, size, search)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", default="1,2")
    args = parser.parse_args()
    bench = Bench(args.folder, [int(count) for count in args.threads.split(",")])
    for systems in (faiss_systems, usearch_systems):
        try:
            systems(bench)
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
