#!/usr/bin/env python3
"""peers_index.py - the duplicate index beside rensa and datasketch on the same shingle sets.

    peers_index.py --bench build/tests/bench_duplicate_index [--data ../shared/data] [--core 1]

100,000 texts (ten packs of the data, shuffled), word 3-grams, 128 coordinates, 16 bands, threshold
.8, keep-first: query + insert + verify, signatures ready-made. One process at a time, pinned to one
core. Recall: of the texts that an exact keep-first filter (Jaccard of the sets) drops, how many does
each drop; extra: dropped although the exact filter keeps them. Without the data: the shipped texts, and says so.
"""
import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

PACKS = ["text-labelled/article-extractions", "text-labelled/codefix-small",
         "text-catalogue/debian-desc-en-a", "stream/peru-headlines-a", "stream/chile-rss-a",
         "stream/headlines-en-hourly-a", "stream/reuters21578-a", "stream/20news-a",
         "stream/spamassassin-a", "cjk/tang-two-editions-zh"]
SHIPPED_PACKS = ["spdx-licences", "debian-descriptions", "manpages-zh", "tang-two-editions-zh"]
N_TEXTS = 100000
THRESHOLD = 0.8
N_COORDINATES = 128
N_BANDS = 16
ROUNDS = 3
# Words; a CJK character is one.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def read_texts(folder, packs):
    texts = []
    for pack in packs:
        path = os.path.join(folder, pack + ".jsonl.zst")
        lines = subprocess.run(["zstdcat", path], check=True, stdout=subprocess.PIPE).stdout
        texts += [json.loads(line)["text"] for line in lines.split(b"\n") if line]
    random.Random(1).shuffle(texts)
    return texts[:N_TEXTS]


def shingle_set(text):
    words = WORD.findall(text.lower())
    if len(words) < 3:
        shingles = {" ".join(words) or text}
    else:
        shingles = {" ".join(words[i:i + 3]) for i in range(len(words) - 2)}
    return sorted(hashlib.blake2b(s.encode("utf-8", "replace"), digest_size=8).digest()
                  for s in shingles)


def write_sets(sets, path):
    import numpy
    with open(path, "wb") as file:
        numpy.array([len(sets)] + [len(s) for s in sets], "<u4").tofile(file)
        for hashes in sets:
            file.write(b"".join(hashes))


def report(name, seconds, dropped, truth):
    n_true = sum(truth)
    n_found = sum(1 for d, t in zip(dropped, truth) if d and t)
    print(f"peers_index/{name}  n={len(truth)}  {len(truth) / seconds / 1e3:.1f} k/s  "
          f"dropped {sum(dropped)}  recall {n_found / n_true:.4f}  extra {sum(dropped) - n_found}",
          flush=True)


def best_of(rounds, make):
    best, dropped = None, None
    for _ in range(rounds):
        run = make()
        start = time.perf_counter()
        dropped = run()
        seconds = time.perf_counter() - start
        best = seconds if best is None else min(best, seconds)
    return best, dropped


def run_rensa(sets, truth, n_bands):
    import rensa
    keys = [str(i) for i in range(len(sets))]
    minhashes = rensa.RMinHash.from_token_sets(sets, N_COORDINATES, 42)

    def one_by_one():
        index = rensa.RMinHashDeduplicator(THRESHOLD, N_COORDINATES, True, n_bands)
        return lambda: [not index.add(key, m) for key, m in zip(keys, minhashes)]

    def in_pairs():
        index = rensa.RMinHashDeduplicator(THRESHOLD, N_COORDINATES, True, n_bands)
        pairs = list(zip(keys, minhashes))
        return lambda: [not added for added in index.add_pairs(pairs)]

    report(f"rensa/{n_bands}x{N_COORDINATES // n_bands}/add", *best_of(ROUNDS, one_by_one), truth)
    report(f"rensa/{n_bands}x{N_COORDINATES // n_bands}/add_pairs", *best_of(ROUNDS, in_pairs),
           truth)


def run_datasketch(sets, truth, params):
    import datasketch
    import numpy
    import rensa
    keys = [str(i) for i in range(len(sets))]
    # Any signature does for an index; rensa's are made faster.
    minhashes = [datasketch.MinHash(num_perm=N_COORDINATES, scheme="legacy",
                                    hashvalues=numpy.array(m.digest(), numpy.uint64))
                 for m in rensa.RMinHash.from_token_sets(sets, N_COORDINATES, 42)]

    def make():
        index = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=N_COORDINATES, params=params)
        kept = {}

        def run():
            dropped = []
            for key, m in zip(keys, minhashes):
                found = any(m.jaccard(kept[other]) >= THRESHOLD for other in index.query(m))
                if not found:
                    index.insert(key, m, check_duplication=False)
                    kept[key] = m
                dropped.append(found)
            return dropped
        return run

    name = f"{params[0]}x{params[1]}" if params else "own"
    report(f"datasketch/{name}/verified", *best_of(2, make), truth)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--data", default=os.environ.get("SLUICE_DATA") or
                        os.path.join(here, "..", "..", "..", "shared", "data"))
    parser.add_argument("--core", type=int, default=1)
    arguments = parser.parse_args()
    folder, packs = arguments.data, PACKS
    if not os.path.isdir(folder):
        print("SKIPPED: the evaluation data is not here (SLUICE_DATA); the shipped texts instead")
        folder, packs = os.path.join(here, "../data/text"), SHIPPED_PACKS
    try:
        import datasketch
        import rensa
    except ImportError as missing:
        print(f"SKIPPED: {missing}")
        return 0
    os.sched_setaffinity(0, {arguments.core})
    sets = [shingle_set(text) for text in read_texts(folder, packs)]
    with tempfile.TemporaryDirectory() as folder:
        sets_path, flags_path = os.path.join(folder, "sets"), os.path.join(folder, "flags")
        write_sets(sets, sets_path)
        subprocess.run([arguments.bench, "texts", sets_path, flags_path], check=True)
        with open(flags_path, "rb") as file:
            flags = file.read()
        truth = [flag & 1 for flag in flags]
        for n_bands in (N_BANDS, 8):
            run_rensa(sets, truth, n_bands)
        for params in ((N_BANDS, N_COORDINATES // N_BANDS), None):
            run_datasketch(sets, truth, params)
        subprocess.run([arguments.bench, "texts", sets_path, flags_path], check=True)
    print(f"rensa {getattr(rensa, '__version__', '0.5.0')}, datasketch {datasketch.__version__}, "
          f"Python {sys.version.split()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
