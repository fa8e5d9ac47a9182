#!/usr/bin/env python3
"""peers_images.py - the image index beside faiss-cpu's binary indexes on the same signatures.

    peers_images.py --bench build/tests/bench_duplicate_images [--kept 1000000] [--core 1] [--data ../shared/data]

Signatures are made up: coefficients drawn with the covariance that those of the photographs of cifar10 have, and
the five levels of image_hash.c. Half of the samples are new; half are kept ones with noise, at a share of equal
bits between the threshold and .02 above: the boundary, where an index misses first. Recall: of those, the share
that names the one they were made of or one as near. A sample: query + insert if it is new. Sluice works one at a
time, faiss in batches of 256 (its best) on one thread; indexes of faiss are built untimed; processor time for
everybody. Then floods, beside the speed of the mixed samples: a million samples (20,000 where all are scanned) that
are one image, the same where the policy keeps them all, and as many without a signature."""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy

N_BITS, N, LEVELS = 495, 99, numpy.array([0, -.6, .6, -1.5, 1.5], "f4")
BATCH = 256


def order():
    found = []
    for m in range(1, 10):
        for i in range(m):
            found += [(m, i), (i, m)]
        found.append((m, m))
    return found


def basis(data):
    """Lower triangle that turns white noise into coefficients like those of real photographs."""
    index = list(csv.DictReader(open(os.path.join(data, "images/cifar10.index.tsv")), delimiter="\t"))
    raw = subprocess.run(["zstd", "-dc", os.path.join(data, "images/cifar10-32x32x3.rgb.zst")],
                         stdout=subprocess.PIPE, check=True).stdout
    rgb = numpy.frombuffer(raw, "u1").reshape(-1, 32, 32, 3)[:len(index)]
    luma = rgb @ numpy.array([.299, .587, .114], "f4")
    u, x = numpy.arange(10)[:, None], numpy.arange(32)[None, :]
    cosine = numpy.cos(numpy.pi * u * (2 * x + 1) / 64) * numpy.sqrt(numpy.where(u == 0, 1, 2) / 32)
    transformed = numpy.einsum("uy,nyx,vx->nuv", cosine, luma - 128, cosine, optimize=True)
    c = numpy.stack([transformed[:, u, v] * numpy.hypot(u, v) for u, v in order()], 1)
    c /= numpy.median(numpy.abs(c), 1, keepdims=True)
    c = numpy.sign(c) * numpy.minimum(numpy.abs(c), 6)
    return numpy.linalg.cholesky(numpy.cov(c.T) + 1e-6 * numpy.eye(N)).astype("f4")


def signatures(c):
    median = numpy.median(numpy.abs(c), 1, keepdims=True)
    bits = numpy.concatenate([c > level * median for level in LEVELS] + [numpy.zeros((len(c), 17), bool)], 1)
    return numpy.packbits(bits, 1, bitorder="little")


def shares(a, b):
    return 1 - numpy.bitwise_count(a ^ b).sum(1) / N_BITS


def make(root, n_kept, n_samples, threshold, rng):
    def draw(n):
        return rng.standard_normal((n, N), "f4") @ root.T
    kept = numpy.concatenate([signatures(draw(min(50000, n_kept - i))) for i in range(0, n_kept, 50000)])
    new = signatures(draw(n_samples // 2))
    planted, of = [], []
    while len(planted) < n_samples // 2:
        c = draw(4096)
        noise = draw(4096) * rng.uniform(.05, 1.2, (4096, 1)).astype("f4")
        a, b = signatures(c), signatures(c + noise)
        s = shares(a, b)
        good = numpy.flatnonzero((s >= threshold) & (s <= threshold + .02))
        for i in good[:n_samples // 2 - len(planted)]:
            place = rng.integers(n_kept)
            kept[place] = a[i]
            planted.append(b[i])
            of.append(place)
    samples = numpy.concatenate([new, numpy.array(planted)])
    of = numpy.concatenate([numpy.full(len(new), -1), of])
    mixed = rng.permutation(len(samples))
    return kept, samples[mixed], of[mixed]


def recall(kept, samples, of, found):
    """found: place or -1. As near as the one it was made of counts (two plants may share a place)."""
    planted = numpy.flatnonzero(of >= 0)
    distance = numpy.full(len(samples), N_BITS)
    has = planted[(found[planted] >= 0) & (found[planted] < len(kept))]
    distance[has] = numpy.bitwise_count(samples[has] ^ kept[found[has]]).sum(1)
    made = numpy.bitwise_count(samples[planted] ^ kept[of[planted]]).sum(1)
    return float((distance[planted] <= made).mean())


def run_faiss(name, index, kept, samples, of, threshold):
    radius = int((1 - threshold) * N_BITS + 1e-9)
    found = numpy.full(len(samples), -1)
    start = time.process_time()
    for i in range(0, len(samples), BATCH):
        batch = samples[i:i + BATCH]
        distances, places = index.search(batch, 1)
        hit = (places[:, 0] >= 0) & (distances[:, 0] <= radius)
        found[i:i + BATCH] = numpy.where(hit, places[:, 0], -1)
        if (~hit).any():
            index.add(numpy.ascontiguousarray(batch[~hit]))
    seconds = time.process_time() - start
    share = recall(kept, samples, of, found)
    print(f"  {name:40s} {len(samples) / seconds:9.0f} samples/s   recall {share:.4f}", flush=True)
    return len(samples) / seconds, share


def flat_of(faiss, kept):
    index = faiss.IndexBinaryFlat(512)
    index.add(kept)
    return index


def hash_of(faiss, kept, n_hashes, n_bits, n_flip):
    """Multi-index hashing as faiss has it: substrings one after the other, exact or with bits flipped."""
    index = faiss.IndexBinaryMultiHash(512, n_hashes, n_bits)
    index.add(kept)
    index.nflip = n_flip
    return index


def floods(options, kept, threshold, usual):
    one = signatures(numpy.random.default_rng(9).standard_normal((1, N), "f4"))
    n = options.flood if threshold > .9 else 20000  # a scan passes all that is kept before: minutes
    for name, mode in (("one image", ""), ("one image, all kept", "keep"), ("flat images", "flat")):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "signatures")
            numpy.concatenate([kept, numpy.repeat(one, n, 0)]).tofile(path)
            words = [options.bench, path, str(len(kept)), str(threshold), "-"] + ([mode] if mode else [])
            said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        expected = 0 if mode == "flat" else said["samples"] - 1
        print(f"  flood of {name:24s} {said['samples_per_s']:12.0f} samples/s   {said['samples_per_s'] / usual:8.1f} of the "
              f"mixed   found {said['found']} of {expected}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--kept", type=int, default=1000000)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--flood", type=int, default=1000000)
    parser.add_argument("--core", type=int, default=1)
    options = parser.parse_args()
    try:
        import faiss
    except ImportError:
        print("SKIPPED: faiss-cpu is not installed (PyPI)")
        return 0
    if not os.path.isdir(options.data):
        print("SKIPPED: the evaluation data is not here")
        return 0
    os.sched_setaffinity(0, {options.core})
    faiss.omp_set_num_threads(1)
    root = basis(options.data)
    for threshold in (0.785, 0.94):
        kept, samples, of = make(root, options.kept, options.samples, threshold, numpy.random.default_rng(1))
        print(f"{len(kept)} kept, {len(samples)} samples, threshold {threshold}")
        with tempfile.TemporaryDirectory() as folder:
            path, answers = os.path.join(folder, "signatures"), os.path.join(folder, "answers")
            numpy.concatenate([kept, samples]).tofile(path)
            done = subprocess.run([options.bench, path, str(len(kept)), str(threshold), answers],
                                  capture_output=True, text=True, check=True)
            said = json.loads(done.stdout)
            found = numpy.fromfile(answers, "<u8").astype("i8")
        ours = said["samples_per_s"]
        print(f"  {'sluice':40s} {ours:9.0f} samples/s   recall {recall(kept, samples, of, found):.4f}"
              f"   {said['row_bytes']:.0f} bytes a row", flush=True)
        peers = [run_faiss("faiss BinaryFlat", flat_of(faiss, kept), kept, samples[:1024], of[:1024], threshold)]
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(512), 512, 1024)
        index.cp.niter = 6
        index.train(kept[:60000])
        for n_probe in ((16, 64, 128) if threshold > .9 else (256, 512)):
            index.reset()
            index.add(kept)
            index.nprobe = n_probe
            peers.append(run_faiss(f"faiss BinaryIVF 1024, nprobe {n_probe}", index, kept, samples[:2048], of[:2048],
                                   threshold))
        if threshold > .9:
            for n_hashes, n_bits, n_flip in ((16, 31, 1), (16, 31, 2), (10, 49, 2)):
                peers.append(run_faiss(f"faiss BinaryMultiHash {n_hashes} x {n_bits}, flips {n_flip}",
                                       hash_of(faiss, kept, n_hashes, n_bits, n_flip), kept, samples[:2048],
                                       of[:2048], threshold))
        recalled = recall(kept, samples, of, found)
        equal = [speed for speed, share in peers if share >= recalled - .002]
        print(f"  ratio to the best of equal recall: {ours / max(equal):.1f}")
        floods(options, kept, threshold, ours)
    return 0


if __name__ == "__main__":
    sys.exit(main())
