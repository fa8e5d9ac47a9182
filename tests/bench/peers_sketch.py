"""peers_sketch.py - text to sketch and hashes to sketch, beside rensa and datasketch, in one run.

usage: python3 tests/bench/peers_sketch.py BUILD/tests/bench_features_sketch [CORE]

Needs rensa, datasketch and numpy, zstdcat, and the packs in $SLUICE_DATA (else ../shared/data
beside the repository). Pins itself and the benchmark to one core (default 0) and measures processor time,
best of the repetitions for everybody; the ratios are what counts, and hold for one run only.

Peers get what their users write: for spaced text, word 5-grams of text.lower().split(); for Chinese
and Japanese, 5-grams of characters and words found by one regular expression.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

import datasketch
import numpy
import rensa

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.environ.get("SLUICE_DATA", os.path.join(HERE, "../../../shared/data"))
PACKS = {
    "article-extractions": "text-labelled/article-extractions",
    "reuters21578-a": "stream/reuters21578-a",
    "livedoor-ja-a": "stream/livedoor-ja-a",
    "tang-two-editions-zh": "cjk/tang-two-editions-zh",
    "zh-trending-a": "stream/zh-trending-a",
}
SHIPPED = os.path.join(HERE, "../data/text")  # where the others are not there
SHIPPED_PACKS = {name: name for name in ("spdx-licences", "debian-descriptions", "manpages-zh", "tang-two-editions-zh")}
SPACED = {"article-extractions", "reuters21578-a", "spdx-licences", "debian-descriptions"}
CJK_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]|[^\W\u3040-\u30ff\u3400-\u9fff]+"
)
COORDINATES = 128
PEER_BYTES = 4 << 20  # of a pack are enough for a Python peer
REPETITIONS = 3


def read_pack(path):
    out = subprocess.run(["zstdcat", path + ".jsonl.zst"], check=True, stdout=subprocess.PIPE)
    return [json.loads(line)["text"] for line in out.stdout.decode("utf-8").split("\n") if line]


def best_seconds(run, least_seconds=0.3):
    best = float("inf")
    spent = 0.0
    for _ in range(50):
        start = time.process_time()
        run()
        took = time.process_time() - start
        best = min(best, took)
        spent += took
        if spent > least_seconds * REPETITIONS:
            break
    return best


def shingles(text, spaced):
    words = text.lower().split() if spaced else CJK_TOKEN.findall(text.lower())
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def rensa_texts(texts, spaced):
    for text in texts:
        sketch = rensa.RMinHash(num_perm=COORDINATES, seed=1)
        sketch.update(shingles(text, spaced))
        sketch.digest()


def datasketch_texts(texts, spaced):
    for text in texts:
        sketch = datasketch.MinHash(num_perm=COORDINATES, seed=1)
        sketch.update_batch([shingle.encode("utf-8") for shingle in shingles(text, spaced)])


def run_bench(bench, *arguments):
    """variant -> (docs/s, MB/s) of the best repetition, or the error."""
    out = subprocess.run([bench, *arguments], check=True, stdout=subprocess.PIPE).stdout.decode()
    rows = {}
    for line in out.splitlines():
        name, *words = line.split()
        variant = name.split("/", 1)[1]
        if words[0] == "rmse":
            rows[variant] = float(words[1])
        else:
            rows[variant] = (float(words[6]), float(words[8]))
    return rows


def some(texts):
    taken, size = [], 0
    for text in texts:
        taken.append(text)
        size += len(text.encode("utf-8"))
        if size > PEER_BYTES:
            break
    return taken, size


def compare_texts(bench, pack, path):
    texts = read_pack(path)
    spaced = pack in SPACED
    with tempfile.NamedTemporaryFile() as file:
        for text in texts:
            payload = text.encode("utf-8")
            file.write(struct.pack("<I", len(payload)) + payload)
        file.flush()
        ours = run_bench(bench, file.name, "w5", "auto")
    peer_texts, size = some(texts)
    sample = peer_texts[: max(1, len(peer_texts) // 8)]
    sample_size = sum(len(text.encode("utf-8")) for text in sample)
    rensa_rate = size / best_seconds(lambda: rensa_texts(peer_texts, spaced)) / 1e6
    data_rate = sample_size / best_seconds(lambda: datasketch_texts(sample, spaced)) / 1e6
    for variant, (docs, rate) in ours.items():
        kind = variant.split("/")[1]
        print(
            f"text {pack:22} {kind:5} {rate:8.1f} MB/s {docs:10.0f} docs/s   "
            f"rensa {rate / rensa_rate:6.1f} x ({rensa_rate:.1f} MB/s)   "
            f"datasketch {rate / data_rate:7.1f} x ({data_rate:.2f} MB/s)"
        )


def rensa_matrix(hashes, n):
    offsets = numpy.arange(0, len(hashes) + 1, n, dtype=numpy.uint64)
    return rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, COORDINATES, 1)


def rensa_error(n):
    """Root mean square error at Jaccard .8, as the benchmark measures its own."""
    pairs, common = 4000, n * 8 // 9
    random = numpy.random.default_rng(7)
    a = random.integers(0, 1 << 64, (pairs, n), dtype=numpy.uint64)
    b = random.integers(0, 1 << 64, (pairs, n), dtype=numpy.uint64)
    b[:, :common] = a[:, :common]
    rows = [numpy.array(rensa_matrix(side.reshape(-1), n).to_rows()) for side in (a, b)]
    estimate = (rows[0] == rows[1]).mean(axis=1)
    return float(numpy.sqrt(((estimate - common / (2 * n - common)) ** 2).mean()))


def compare_hashes(bench):
    ours = run_bench(bench)
    random = numpy.random.default_rng(5)
    for n in (100, 1000, 4000):
        docs = max(1, 400_000 // n)
        hashes = random.integers(0, 1 << 64, docs * n, dtype=numpy.uint64)
        peer = docs / best_seconds(lambda: rensa_matrix(hashes, n))
        for kernel in ("avx512", "avx2", "ref"):
            variant = f"hashes-{n}/{kernel}"
            if variant in ours:
                rate = ours[variant][0]
                print(
                    f"hashes {n:5} {kernel:7} {rate:10.0f} docs/s   "
                    f"rensa {rate / peer:5.2f} x ({peer:.0f} docs/s)"
                )
        print(f"error  {n:5} ours {ours[f'error-{n}']:.4f}   rensa {rensa_error(n):.4f}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    os.sched_setaffinity(0, {int(sys.argv[2]) if len(sys.argv) == 3 else 0})
    compare_hashes(sys.argv[1])
    folder, packs = DATA, PACKS
    if not os.path.isdir(DATA):
        print("SKIPPED: the evaluation data is not here (SLUICE_DATA); the shipped texts instead")
        folder, packs = SHIPPED, SHIPPED_PACKS
    for pack, path in packs.items():
        compare_texts(sys.argv[1], pack, os.path.join(folder, path))


if __name__ == "__main__":
    main()
