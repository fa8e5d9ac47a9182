"""alerts_test.py - how often alerts cry wolf on stationary real streams, and how late they see planted changes.

Real anchors (MiniLM) in random order, so that nothing changes; their second and third view are the anchor with noise. Three
sources; from 60 % of the stream on, the third one changes. Delays are in samples of that source."""

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
SEEDS = 2 if os.environ.get("SLUICE_QUICK") else 3
CHANGE = 0.6
N = 12000


def anchors(name, rng):
    path = DATA / "embeddings" / f"minilm384-{name}.npy"
    if not path.exists():
        pytest.skip(f"no {path}")
    rows = numpy.load(path).astype(numpy.float32)
    return rows[rng.permutation(len(rows))]


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=-1, keepdims=True)


def stationary(seed):
    """[{source, text, ts, view}]: three sources, one mixture of domains."""
    rng = numpy.random.default_rng(seed)
    rows = numpy.concatenate([anchors("headlines-en-hourly-a", rng)[:9500], anchors("reuters21578-a", rng)[:2500]])
    order = rng.permutation(N)
    # Words that no two texts share: numbers alone would make them alike.
    return rng, [{"source": "abc"[rng.integers(3)], "text": "".join(rng.choice(list("abcdefghij klmnop"), 60)), "ts": 1e9 + i,
                  "view": rows[order[i]]} for i in range(N)]


def alerts_of(samples, rng):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        anchor = numpy.array([s["view"] for s in samples])
        views = numpy.stack([anchor] + [unit(anchor + 0.03 * rng.normal(size=anchor.shape)) for _ in range(2)], axis=1)
        numpy.save(folder / "in.npy", views.astype(numpy.float32))
        with open(folder / "in.jsonl", "w") as file:
            for i, s in enumerate(samples):
                file.write(json.dumps({"id": str(i), "source": s["source"], "text": s["text"], "ts": s["ts"]}) + "\n")
        subprocess.run([SLUICE, "filter", "--state", folder / "state", "--set", "duplicate.text.memory=16MiB",
                        "--set", "influence.half_life=20000", "--views", folder / "in.npy", "-o", os.devnull,
                        folder / "in.jsonl"], check=True, stderr=subprocess.DEVNULL)
        done = subprocess.run([SLUICE, "report", "--state", folder / "state", "--json"], check=True, capture_output=True)
        return json.loads(done.stdout)["portfolio"]["alerts"]


def repeat_texts(samples, rng, bursts):
    """Of those of c whose number is in one of the bursts, 40 % repeat a text from before them."""
    of_c = [i for i, s in enumerate(samples) if s["source"] == "c"]
    for begin, end in bursts:
        for i in of_c[begin:end]:
            if rng.random() < 0.4:
                samples[i]["text"] = samples[rng.integers(of_c[begin])]["text"]
    return of_c


def changed(samples):
    return [s for i, s in enumerate(samples) if s["source"] == "c" and i >= CHANGE * N]


def delay_of(alerts, samples, kind, source):
    """Samples of the source from the change to the alert; None if it never came."""
    offsets = [a["offset"] for a in alerts if a["kind"] == kind and a["source"] == source and a["offset"] >= CHANGE * N]
    if not offsets:
        return None
    return sum(s["source"] in (source or "abc") for s in samples[int(CHANGE * N):min(offsets) + 1])


def early(alerts):
    return [(a["kind"], a["source"], a["offset"]) for a in alerts if a["offset"] < CHANGE * N]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_stationary_stream_raises_nothing(seed):
    rng, samples = stationary(seed)
    assert alerts_of(samples, rng) == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_source_that_begins_to_repeat_is_seen_within_256_samples(seed):
    rng, samples = stationary(seed)
    for s in changed(samples):
        if rng.random() < 0.3:
            s["text"] = samples[rng.integers(int(CHANGE * N))]["text"]
    alerts = alerts_of(samples, rng)
    delay = delay_of(alerts, samples, "duplicates", "c")
    print(f"duplicates 0 to 30 %: {delay} samples; others {early(alerts)}")
    assert delay is not None and delay <= 256
    assert {a["source"] for a in alerts} <= {"c", None}


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("bursts", [[(1280, 2304), (8600, 9600)], [(1280, 3840)]], ids=["two equal bursts", "a long one"])
def test_burst_is_told_once_and_the_next_one_again(seed, bursts):
    rng, samples = stationary(seed)
    for s in samples:
        s["source"] = "bc"[rng.random() < 0.85]
    of_c = repeat_texts(samples, rng, bursts)
    alerts = [a for a in alerts_of(samples, rng) if a["kind"] == "duplicates" and a["source"] == "c"]
    told = [min(range(len(of_c)), key=lambda i: abs(of_c[i] - a["offset"])) for a in reversed(alerts)]
    print(f"bursts {bursts}: told after {told} samples of it")
    assert len(told) == len(bursts) and all(begin < at <= begin + 256 for at, (begin, _) in zip(told, bursts))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_source_that_changes_its_domain_is_seen_within_512_samples(seed):
    rng, samples = stationary(seed)
    other = anchors("debian-desc-en-a", rng)
    for i, s in enumerate(changed(samples)):
        s["view"] = other[i]
    alerts = alerts_of(samples, rng)
    delays = {kind: delay_of(alerts, samples, kind, "c") for kind in ("shift", "rare", "influence")}
    print(f"another domain: {delays}; others {early(alerts)}, {[(a['kind'], a['source']) for a in alerts]}")
    assert delays["shift"] is not None and delays["shift"] <= 512
    assert early(alerts) == [] and {a["source"] for a in alerts} <= {"c", None}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_stream_that_drifts_as_a_whole_is_seen_within_1024_samples(seed):
    rng, samples = stationary(seed)
    other = numpy.concatenate([anchors("debian-desc-en-a", rng), anchors("20news-a", rng)])
    for i, s in enumerate(samples[int(CHANGE * N):]):
        s["view"] = other[i % len(other)]
    alerts = alerts_of(samples, rng)
    delay = delay_of(alerts, samples, "drift", None)
    print(f"drift of the stream: {delay} samples; others {early(alerts)}")
    assert early(alerts) == [] and delay is not None and delay <= 1024


@pytest.mark.parametrize("seed", range(SEEDS))
def test_source_that_falls_silent_is_seen(seed):
    rng, samples = stationary(seed)
    for s in changed(samples):
        s["source"] = "ab"[rng.integers(2)]
    alerts = alerts_of(samples, rng)
    silent = [a for a in alerts if a["kind"] == "silence"]
    assert [a["source"] for a in silent] == ["c"] and silent[0]["offset"] <= CHANGE * N + 512, alerts
    assert all(a["kind"] == "silence" for a in alerts)
