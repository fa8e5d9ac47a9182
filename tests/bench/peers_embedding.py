#!/usr/bin/env python3
"""peers_embedding.py - the embedding index beside hnswlib, faiss and usearch on the same vectors.

    peers_embedding.py --bench build/release/tests/bench_duplicate_embedding [--sets real stress cone flood million] [--core 1]

Sets: `real`: text vectors of all packs of the evaluation data, shuffled. `stress`: 100,000 mixtures of two real vectors,
a tenth of them replaced by a neighbour of an earlier one along a direction of the data, half of these at a cosine of
.90 to .91. `cone`: the real ones with a common direction added, so that the cosine of two random ones is .70 (as
encoders like E5 and BGE have it), at .95. `million`: stress with 1,000,000. `flood`, sluice alone: behind 20,000 real rows
1,000,000 copies of one; as many within .9999 of it; 30,000 that lie at .92 of each other, just below the threshold, and so
are all kept. `--vectors FILE.npy:THRESHOLD ...`: others, in the order of the file (tests/quality/thresholds.py makes some).

Everybody is asked for the nearest remembered vector of each row in turn, one at a time on one thread, and remembers the
row if the truth keeps it (greedy cover by exact cosine; `million`: the planted pairs). So all hold the same rows. Rates
are rows a second of CPU time; of the peers the cost of the Python calls, measured on an index of one row, is taken off.
Recall: of rows with a kept one at the threshold, the share for which some row at the threshold is found; band: of those
whose nearest is within .01 of it. Sluice makes its sketch from the vector within the time; faiss trains untimed."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy

PACKS = ("headlines-en-hourly-a", "reuters21578-a", "debian-desc-en-a", "20news-a", "article-extractions", "spdx-licences")
ROW_BYTES = 1000  # of sluice's budget, a row; the rest of the peers' arguments is theirs


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def read_real(data):
    rows = numpy.concatenate([numpy.load(data / f"minilm384-{pack}.npy").astype("f4") for pack in PACKS])
    return unit(rows)[numpy.random.default_rng(1).permutation(len(rows))]


def make_stress(real, n, random):
    """Rows and, for planted ones, the row they were made of (else -1)."""
    rows, made_of = numpy.empty((n, real.shape[1]), "f4"), numpy.full(n, -1, "i8")
    for i in range(0, n, 10000):
        a, b = real[random.integers(len(real), size=(2, 10000))]
        share = random.uniform(.3, .7, (10000, 1)).astype("f4")
        rows[i:i + 10000] = unit(share * a + (1 - share) * b)
    planted = numpy.flatnonzero(random.random(n) < .1)
    planted = planted[planted > 1000]
    made_of[planted] = 0
    new = numpy.flatnonzero(made_of < 0)
    for i in planted:
        j = new[random.integers(numpy.searchsorted(new, i))]
        cosine = random.uniform(.90, .91) if random.random() < .55 else random.uniform(.91, 1)
        a, b = real[random.integers(len(real), size=2)]
        direction = a - b
        direction -= rows[j] * (rows[j] @ direction)
        length = numpy.linalg.norm(direction)
        rows[i] = rows[j] if length < 1e-3 else cosine * rows[j] + numpy.sqrt(1 - cosine * cosine) * direction / length
        made_of[i] = j
    return unit(rows), made_of


def find_truth(rows, threshold):
    """Greedy cover by exact cosine: the nearest kept row at the threshold (-1: kept itself), and its cosine."""
    of, nearest = numpy.full(len(rows), -1, "i8"), numpy.full(len(rows), -1.0)
    kept, n_kept = numpy.empty_like(rows), 0
    number = numpy.empty(len(rows), "i8")
    step = 512
    for i in range(0, len(rows), step):
        batch = rows[i:i + step]
        before = batch @ kept[:n_kept].T if n_kept else numpy.full((len(batch), 1), -1, "f4")
        best, best_of = before.max(1), before.argmax(1)
        own = batch @ batch.T
        n_before = n_kept
        for k in range(len(batch)):
            value, at = best[k], best_of[k]
            for m in range(n_before, n_kept):
                if own[k, number[m] - i] > value:
                    value, at = own[k, number[m] - i], m
            if abs(value - threshold) < 1e-5:
                value = float(batch[k].astype("f8") @ kept[at].astype("f8"))
            nearest[i + k] = value
            if value >= threshold:
                of[i + k] = number[at]
            else:
                kept[n_kept], number[n_kept] = batch[k], i + k
                n_kept += 1
    return of, nearest


def score(name, rate, rows, of, nearest, found, threshold, extra, scored=None):
    scored = numpy.arange(len(rows)) if scored is None else scored
    scored = scored[of[scored] >= 0]
    hit = scored[found[scored] >= 0]
    cosine = numpy.full(len(rows), -1.0)
    cosine[hit] = numpy.einsum("ij,ij->i", rows[hit].astype("f8"), rows[found[hit]].astype("f8"))
    good = cosine >= threshold - 1e-6
    band = scored[nearest[scored] < threshold + .01]
    result = {"name": name, "rows_per_s": round(rate), "recall": round(float(good[scored].mean()), 4),
              "band": round(float(good[band].mean()), 4), **extra}
    print(f"  {name:38s} {rate:9.0f} rows/s   recall {result['recall']:.4f}   band {result['band']:.4f}   {extra}", flush=True)
    return result


def run_sluice(options, rows, of, nearest, threshold):
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        files = [os.path.join(folder, name) for name in ("rows", "truth", "answers")]
        rows.tofile(files[0])
        of.tofile(files[1])
        n_kept = int((of < 0).sum())
        memory = options.memory or (n_kept * ROW_BYTES * 21 // 20 + (4 << 20))
        done = subprocess.run([options.bench, files[0], str(rows.shape[1]), str(threshold), str(memory), files[1], files[2]],
                              capture_output=True, text=True, check=True)
        found = numpy.fromfile(files[2], "<i8")
    said = json.loads(done.stdout)
    hit = numpy.flatnonzero(found >= 0)
    false = 0
    for i in range(0, len(hit), 100000):
        part = hit[i:i + 100000]
        cosine = numpy.einsum("ij,ij->i", rows[part].astype("f8"), rows[found[part]].astype("f8"))
        false += int((cosine < threshold - 1e-6).sum())
    extra = {"false": false, "tail": said["tail_samples_per_s"], "bytes": said["bytes_without_vector"], "keys": said["keys"]}
    return score("sluice", said["samples_per_s"], rows, of, nearest, found, threshold, extra)


class Hnswlib:
    def __init__(self, dim, n, build, search):
        import hnswlib
        self.name = f"hnswlib M16 efC{build} ef{search}"
        self.index = hnswlib.Index("ip", dim)
        self.index.init_index(n, ef_construction=build, M=16)
        self.index.set_ef(search)
        self.index.set_num_threads(1)

    def add(self, row, number):
        self.index.add_items(row, [number], num_threads=1)

    def search(self, row):
        label, distance = self.index.knn_query(row, 1, num_threads=1)
        return int(label[0, 0]), 1 - float(distance[0, 0])


class Faiss:
    def __init__(self, rows, n_lists, n_probe):
        import faiss
        faiss.omp_set_num_threads(1)
        self.name = f"faiss IVF{n_lists} nprobe {n_probe}"
        self.quantizer = faiss.IndexFlatIP(rows.shape[1])
        self.index = faiss.IndexIVFFlat(self.quantizer, rows.shape[1], n_lists, faiss.METRIC_INNER_PRODUCT)
        self.index.cp.niter = 8
        self.index.train(rows[:60000])
        self.index.nprobe = n_probe
        self.numbers = numpy.empty(1, "i8")

    def add(self, row, number):
        self.numbers[0] = number
        self.index.add_with_ids(row, self.numbers)

    def search(self, row):
        value, label = self.index.search(row, 1)
        return int(label[0, 0]), float(value[0, 0])


class Usearch:
    def __init__(self, dim):
        from usearch.index import Index
        self.name = "usearch i8 efC64 ef64, exact check"
        self.index = Index(ndim=dim, metric="cos", dtype="i8", connectivity=16, expansion_add=64, expansion_search=64)
        self.rows = None

    def add(self, row, number):
        self.index.add(number, row[0], threads=1)

    def search(self, row):
        found = self.index.search(row[0], 1, threads=1)
        label = int(found.keys[0])
        return label, float(self.rows[label] @ row[0])


def call_cost(peer, row):
    """Seconds of a search and of an add on an index of hardly anything: of faiss a flat one, so that the search of
    its lists stays in."""
    if isinstance(peer, Faiss):
        import faiss
        peer.index = faiss.IndexIDMap(faiss.IndexFlatIP(row.shape[1]))
    peer.add(row, 0)
    if isinstance(peer, Usearch):
        peer.rows = row
    start = time.thread_time()
    for _ in range(300):
        peer.search(row)
    search = (time.thread_time() - start) / 300
    start = time.thread_time()
    for i in range(20):
        peer.add(row, i + 1)
    return search, (time.thread_time() - start) / 20


def run_peer(make, rows, of, nearest, threshold, first=0, last=None):
    """`first`: rows before it are filled in at once, untimed."""
    overhead = call_cost(make(), rows[:1])
    overhead = (min(overhead[0], 10e-6), min(overhead[1], 10e-6))
    peer = make()
    if isinstance(peer, Usearch):
        peer.rows = rows
    if first > 0:
        numbers = numpy.flatnonzero(of[:first] < 0)
        peer.index.add_with_ids(rows[numbers], numbers)
    last = len(rows) if last is None else last
    found = numpy.full(len(rows), -1, "i8")
    off = 0.0
    start = time.thread_time()
    for i in range(first, last):
        row = rows[i:i + 1]
        if i > 0:
            label, cosine = peer.search(row)
            off += overhead[0]
            if cosine >= threshold:
                found[i] = label
        if of[i] < 0:
            peer.add(row, i)
            off += overhead[1]
    seconds = time.thread_time() - start - off
    return score(peer.name, (last - first) / seconds, rows, of, nearest, found, threshold, {}, numpy.arange(first, last))


def compare(options, name, rows, of, nearest, threshold, peers):
    print(f"{name}: {len(rows)} x {rows.shape[1]}, threshold {threshold}, kept {(of < 0).sum()}, "
          f"band {((of >= 0) & (nearest < threshold + .01)).sum()}", flush=True)
    results = [run_sluice(options, rows, of, nearest, threshold)]
    for peer in peers:
        results.append(run_peer(*peer, rows=rows, of=of, nearest=nearest, threshold=threshold) if isinstance(peer, tuple)
                       else run_peer(peer, rows, of, nearest, threshold))
    results.append({**run_sluice(options, rows, of, nearest, threshold), "name": "sluice, again"})
    ours = (results[0]["rows_per_s"] + results[-1]["rows_per_s"]) / 2
    for result in results[1:-1]:
        result["ratio"] = round(ours / result["rows_per_s"], 2)
        print(f"  {result['ratio']:6.1f} x {result['name']}", flush=True)
    return {"set": name, "n": len(rows), "kept": int((of < 0).sum()), "threshold": threshold, "results": results}


def small_set(options, name, rows, threshold, n_lists):
    of, nearest = find_truth(rows, threshold)
    dim, n = rows.shape[1], len(rows)
    peers = [lambda: Hnswlib(dim, n, 40, 32), lambda: Hnswlib(dim, n, 100, 64), lambda: Faiss(rows, n_lists, 8),
             lambda: Usearch(dim)]
    return compare(options, name, rows, of, nearest, threshold, peers)


def flood(options, real):
    random, results = numpy.random.default_rng(5), []
    row, start = real[-1:], real[:20000]
    kinds = {"real rows": real[20000:], "copies": numpy.repeat(row, 1000000, 0),
             "nearly copies": unit(row + random.standard_normal((1000000, 384), "f4") * .0007),
             "a shell at .92": unit(row + random.standard_normal((30000, 384), "f4") * .0151)}
    print("flood: behind 20,000 real rows, threshold 0.95", flush=True)
    for name, rows in kinds.items():
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            path = os.path.join(folder, "rows")
            numpy.concatenate([start, rows]).astype("f4").tofile(path)
            done = subprocess.run([options.bench, path, "384", "0.95", str(200 << 20)], capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        results.append({"name": name, **said})
        print(f"  {name:16s} last tenth {said['tail_samples_per_s']:9.0f} rows/s   kept {said['kept']}", flush=True)
    return {"set": "flood", "results": results}


def million(options, real):
    rows, of = make_stress(real, options.million, numpy.random.default_rng(3))
    nearest = numpy.full(len(rows), -1.0)
    planted = numpy.flatnonzero(of >= 0)
    nearest[planted] = numpy.einsum("ij,ij->i", rows[planted], rows[of[planted]])
    at_least = planted[nearest[planted] >= .9]
    truth = numpy.full(len(rows), -1, "i8")
    truth[at_least] = of[at_least]
    nearest = numpy.where(truth >= 0, nearest, -1)
    print(f"million: {len(rows)} x {rows.shape[1]}, threshold 0.9, kept {(truth < 0).sum()}, planted {len(at_least)}", flush=True)
    results = [run_sluice(options, rows, truth, nearest, .9)]
    first = len(rows) * 9 // 10
    for n_probe in (8, 16, 24, 32):
        result = run_peer(lambda n_probe=n_probe: Faiss(rows, 2048, n_probe), rows, truth, nearest, .9, first, first + options.tail)
        result["ratio"] = round(results[0]["tail"] / result["rows_per_s"], 1)
        print(f"  {result['ratio']:6.1f} x {result['name']} (last tenth)", flush=True)
        results.append(result)
    return {"set": "million", "n": len(rows), "kept": int((truth < 0).sum()), "threshold": .9, "results": results}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--data", default=os.environ.get("SLUICE_DATA", "../shared/data"))
    parser.add_argument("--sets", nargs="*", default=["real", "stress", "cone", "flood", "million"])
    parser.add_argument("--vectors", nargs="*", default=[])
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--million", type=int, default=1000000)
    parser.add_argument("--tail", type=int, default=3000)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--scratch", default=None)
    parser.add_argument("--json", default=None)
    options = parser.parse_args()
    try:
        import faiss, hnswlib, usearch  # noqa: F401, E401
    except ImportError as error:
        print(f"SKIPPED: {error.name} is not installed (PyPI: hnswlib==0.8.0 faiss-cpu usearch)")
        return 0
    data = pathlib.Path(options.data) / "embeddings"
    if not data.is_dir():
        print("SKIPPED: the evaluation data is not here")
        return 0
    os.sched_setaffinity(0, {options.core})
    real, tables = read_real(data), []
    if "real" in options.sets:
        tables.append(small_set(options, "real", real, .9, 256))
        tables.append(small_set(options, "real", real, .95, 256))
    if "stress" in options.sets:
        tables.append(small_set(options, "stress", make_stress(real, 100000, numpy.random.default_rng(2))[0], .9, 1024))
    if "cone" in options.sets:
        common = unit(numpy.random.default_rng(4).standard_normal((1, real.shape[1]))).astype("f4")
        random_cosine = float((real[:2000] @ real[-2000:].T).mean())
        weight = numpy.sqrt((.7 - random_cosine) / .3)
        tables.append(small_set(options, "cone", unit(real + weight * common).astype("f4"), .95, 256))
    for given in options.vectors:
        path, _, threshold = given.rpartition(":")
        tables.append(small_set(options, pathlib.Path(path).stem, unit(numpy.load(path).astype("f4")), float(threshold), 256))
    if "flood" in options.sets:
        tables.append(flood(options, real))
    if "million" in options.sets:
        tables.append(million(options, real))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(tables, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
