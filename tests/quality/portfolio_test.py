"""portfolio_test.py - the portfolio beside an independent recount, and what it recommends on planted streams.

Real texts with the real views of their encoder (three packs, two of them mixed into three clean sources). Planted: a
source that copies another, one of noise, one that changes its domain halfway, and one near the reference."""

import collections
import json
import os
import pathlib
import subprocess
import tempfile

import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.environ.get("SLUICE", str(ROOT / "build" / "release" / "sluice"))
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data"))
SEEDS = 3 if os.environ.get("SLUICE_QUICK") else 10
HEADLINES, PACKAGES, WIRE = "headlines-en-hourly-a", "debian-desc-en-a", "reuters21578-a"


def pack(name):
    path = DATA / "embeddings" / f"minilm384-views-{name}.npy"
    if not path.exists():
        pytest.skip(f"no {path}")
    return numpy.load(path).astype(numpy.float32)


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=-1, keepdims=True)


def planted(seed):
    """Samples (source, text, views) in order of arrival, and the views of the reference."""
    rng = numpy.random.default_rng(seed)
    pool = {name: list(pack(name)[rng.permutation(len(pack(name)))]) for name in (HEADLINES, PACKAGES, WIRE)}
    taken = collections.Counter()

    def take(name):
        taken[name] += 1
        return (f"{name} {taken[name]} " + " ".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 40))), pool[name].pop()

    reference = numpy.array([take(WIRE)[1] for _ in range(300)])
    stream = []
    for source in ("feed-1", "feed-2", "feed-3"):
        for place in rng.random(700):
            stream.append((place, source, *take(HEADLINES if rng.random() < 0.7 else PACKAGES)))
    for place in sorted(rng.random(500)):
        stream.append((place, "turning", *take(HEADLINES if place < 0.5 else PACKAGES)))
    for place in rng.random(700):
        stream.append((place, "precious", *take(WIRE)))
    for place in rng.random(500):
        words = " ".join("".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(20))
        stream.append((place, "static", words, unit(rng.normal(size=(3, 384)))))
    originals = sorted(s for s in stream if s[1] == "feed-1")[:500]
    stream += [(place + (1 - place) * rng.random(), "echo", text, views) for place, _, text, views in originals]
    return [s[1:] for s in sorted(stream, key=lambda s: s[0])], reference


def write(folder, stem, samples):
    with open(folder / f"{stem}.jsonl", "w") as file:
        for i, (source, text, _) in enumerate(samples):
            file.write(json.dumps({"id": f"{stem}-{i}", "source": source, "text": text, "cost": 0.5}) + "\n")
    numpy.save(folder / f"{stem}.npy", numpy.array([views for _, _, views in samples], numpy.float32))


def run(folder, *words):
    subprocess.run([SLUICE, "filter", *words, "--verdicts", folder / "v.jsonl", "-o", os.devnull], check=True,
                   stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in (folder / "v.jsonl").read_text().splitlines()]


def report(*words):
    done = subprocess.run([SLUICE, "report", "--json", *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run_planted(folder, seed, *words):
    samples, reference = planted(seed)
    write(folder, "in", samples)
    write(folder, "ref", [("ref", f"ref {i}", views) for i, views in enumerate(reference)])
    return run(folder, "--set", f"influence.references=[{{name: wire, path: {folder}/ref.jsonl, views: {folder}/ref.npy}}]",
               "--views", folder / "in.npy", *words, folder / "in.jsonl")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_advice_on_a_planted_stream_names_the_four_and_nothing_else(seed):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run_planted(folder, seed, "--set", "influence.expert.warmup=768")
        advice = report("--verdicts", folder / "v.jsonl")["portfolio"]["advice"]
        said = {a["source"]: a["advice"] for a in advice}
        for a in advice:
            print(seed, a["source"], a["advice"], round(a["confidence"], 4), a["because"])
        assert said == {"echo": "stop buying", "static": "inspect", "turning": "inspect", "precious": "collect more"}
