"""rare.py - how well the scores find what is rare: planted groups, isolated samples, foreign domains; and clean sources.

    python3 tests/quality/rare.py [--write]

Every case is a stream of real embeddings through `sluice filter --views`, with sources, after research on rare samples:

    group      one theme or class, as a source of 22 samples among 40 sources drawn at random; score: `source_shift`
    isolated   20 real vectors whose coordinates are permuted, in sources that others are in too; score: `leverage`
    foreign    22 samples of another domain, likewise; score: `leverage`
    clean      a real stream with its real sources in its own order, nothing planted: how many of them reach 4

The basis is made anew at 512, 1024, 1536 and 2048, and what is planted comes after the second of them, at random places. AUC is over
the samples from there on that have a score and are `live`, of all seeds together; `known` is the share of what was planted that has
one (a source has a shift from its 8th sample on, as of the block before), and `alarm` the median number of samples of the source until
it reaches 4."""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.environ.get("SLUICE", str(ROOT / "build" / "release" / "sluice"))
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data"))
TABLE = pathlib.Path(__file__).with_name("rare.csv")
ALARM = 4
GROUP = 22
BEGIN = 1024 + 2 * 256  # the second basis is published, and there was a block with it
SEEDS = range(4)
FIELDS = ["case", "score", "samples", "planted", "known", "auc", "planted_median", "alarm", "clean_sources", "clean_max", "clean_alarms",
          "clean_alarm_share"]


# ---- packs

def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=-1, keepdims=True)


def noisy(rows, seed):
    """Views by noise of various strength, for packs that have none."""
    random = numpy.random.default_rng(1000 + seed)
    d = rows.shape[1]
    noise = random.normal(size=(len(rows), 2, d)) / numpy.sqrt(d) * random.uniform(0.1, 0.5, (len(rows), 1, 1))
    return unit(numpy.concatenate([rows[:, None], rows[:, None] + noise], 1))


def words(seed):
    return noisy(pack("wordvec100-dev")[:8000], seed)


def pack(name):
    return unit(numpy.load(DATA / "embeddings" / f"{name}.npy").astype(float))


def identities(name):
    return [i for i in (DATA / "embeddings" / f"{name}.ids.txt").read_text().split("\n") if i]


def reduced(d, *packs):
    """The d largest principal directions of the packs together, not centred, as unit rows."""
    flat = numpy.concatenate([views.reshape(-1, views.shape[2]) for views in packs])
    basis = numpy.linalg.eigh(flat.T @ flat)[1][:, ::-1][:, :d]
    return [unit(views @ basis) for views in packs]


def classes():
    lines = (DATA / "images" / "cifar10.index.tsv").read_text().split("\n")
    names = lines[0].split("\t")
    by_id = {row[0]: row[names.index("class")] for row in (line.split("\t") for line in lines[1:] if line)}
    return numpy.array([by_id[i] for i in identities("sscd-distilled-views-cifar10-core")])


def sources_of(name, texts):
    """The source of each sample of a pack of embeddings, as the pack of its texts says."""
    path = next(DATA.glob(f"*/{texts}.jsonl.zst"))
    lines = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n")
    by_id = {o["id"]: o["source"] for o in (json.loads(line) for line in lines if line)}
    return [by_id[i] for i in identities(name)]


# ---- streams

YOUNG = ("--set", "influence.expert.warmup=512", "--set", "influence.expert.refresh_lag=1")


def scores(views, sources, settings=YOUNG):
    """`source_shift`, `leverage` and its percentile of each sample, NaN where there is none or it is not live."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        numpy.save(folder / "views.npy", views.astype(numpy.float32))
        (folder / "in.jsonl").write_text("".join(json.dumps({"id": f"s{i}", "source": s, "text": f"sample {i}"}) + "\n"
                                                 for i, s in enumerate(sources)))
        subprocess.run([SLUICE, "filter", "--set", "duplicate.enabled=false", *settings, "--views", folder / "views.npy",
                        "--verdicts", folder / "v", "-o", os.devnull, folder / "in.jsonl"], check=True, stderr=subprocess.DEVNULL)
        records = [json.loads(line)["influence"] for line in (folder / "v").read_text().splitlines()]
    records = [r | {"percentile": r["percentile"]["leverage"]} for r in records]
    return {key: numpy.array([r[key] if r[key] is not None and r["state"] == "live" else numpy.nan for r in records], float)
            for key in ("source_shift", "leverage", "percentile")}


def share_rare(views):
    """With the defaults, of the first 2,048 samples that have a percentile, and of all: the share that is flagged as rare."""
    percentile = scores(views, ["s"] * len(views), ())["percentile"]
    flagged = percentile[~numpy.isnan(percentile)] >= 0.99
    return flagged[:2048].mean(), flagged.mean()


def planted_stream(background, planted, seed):
    """Background in random order with what is planted strewn over the part from BEGIN on: views, which are planted."""
    random = numpy.random.default_rng(seed)
    background = background[random.permutation(len(background))]
    places = numpy.sort(random.integers(BEGIN, len(background), len(planted)))
    views = numpy.insert(background, places, planted, 0)
    mark = numpy.insert(numpy.zeros(len(background), bool), places, True)
    return views, mark, random


def auc(positive, negative):
    """P(positive > negative), ties half; NaNs are left out."""
    positive, negative = positive[~numpy.isnan(positive)], negative[~numpy.isnan(negative)]
    order = numpy.sort(negative)
    below, upto = numpy.searchsorted(order, positive, "left"), numpy.searchsorted(order, positive, "right")
    return float((below + upto).mean() / 2 / len(negative))


def alarm_of(shift):
    """After how many of its samples a source first reaches the alarm; NaN: never."""
    over = numpy.flatnonzero(shift >= ALARM)
    return over[0] + 1 if len(over) else numpy.nan


def sources_at_a_glance(shift, sources):
    """Of each source that ever has a shift: its largest."""
    largest = {s: shift[sources == s] for s in numpy.unique(sources)}
    return numpy.array([numpy.nanmax(v) for v in largest.values() if not numpy.isnan(v).all()])


def planted_case(name, score, make):
    """make(seed) gives background and planted views."""
    positive, negative, alarms, clean, n = [], [], [], [], 0
    for seed in SEEDS:
        background, planted = make(seed)
        views, mark, random = planted_stream(background, planted, seed)
        sources = numpy.array([f"clean{i}" for i in random.integers(0, 40, len(views))])
        if score == "source_shift":
            sources[mark] = "planted"
        found = scores(views, sources)
        positive.append(found[score][mark])
        negative.append(found[score][BEGIN:][~mark[BEGIN:]])
        alarms.append(alarm_of(found["source_shift"][mark]))
        clean.append(sources_at_a_glance(found["source_shift"][~mark], sources[~mark]))
        n += len(views)
    return row_of(name, score, n, numpy.concatenate(positive), numpy.concatenate(negative),
                  numpy.nanmedian(alarms) if score == "source_shift" else None,
                  numpy.concatenate(clean) if score == "source_shift" else None)


def clean_case(name, embeddings, settled=0):
    """In time order. A settled source has that many samples behind it; a second row has only those."""
    views = pack(embeddings)
    views, = reduced(64, views if views.ndim == 3 else noisy(views, 0))
    sources = numpy.array(sources_of(embeddings, name))
    shift = scores(views, sources)["source_shift"]
    for least in (0, settled) if settled else (0,):
        shift[[(sources[:i] == s).sum() < least for i, s in enumerate(sources)]] = numpy.nan
        case = f"clean/{name} {len(views)}" + (f" settled {settled}" if least else "")
        yield row_of(case, "source_shift", len(views), None, shift, None, sources_at_a_glance(shift, sources))


def row_of(case, score, n, positive, negative, alarm, clean):
    row = dict.fromkeys(FIELDS, "")
    row |= {"case": case, "score": score, "samples": n}
    if positive is not None:
        row |= {"planted": len(positive), "known": f"{1 - numpy.isnan(positive).mean():.2f}", "auc": f"{auc(positive, negative):.4f}",
                "planted_median": f"{numpy.nanmedian(positive):.1f}"}
    if alarm is not None:
        row |= {"alarm": f"{alarm:.0f}"}
    if clean is not None:
        known = negative[~numpy.isnan(negative)]
        row |= {"clean_sources": len(clean), "clean_max": f"{clean.max():.1f}", "clean_alarms": int((clean >= ALARM).sum()),
                "clean_alarm_share": f"{(known >= ALARM).mean():.4f}"}
    return row


# ---- cases

def word_theme(seed):
    views = words(seed)
    middle = numpy.random.default_rng(50 + seed).integers(0, len(views))
    near = numpy.argsort(-(views[:, 0] @ views[middle, 0]))
    return views[numpy.sort(near[10 * GROUP:])][:4400], views[near[:GROUP]]


def image_class(name):
    def make(seed):
        views, = reduced(64, pack("sscd-distilled-views-cifar10-core"))
        of_class = classes() == name
        chosen = numpy.random.default_rng(70 + seed).permutation(numpy.flatnonzero(of_class))[:GROUP]
        return views[~of_class], views[chosen]
    return make


def isolated(background, d=None):
    def make(seed):
        views = background(seed)
        random = numpy.random.default_rng(90 + seed)
        chosen = random.integers(0, len(views), 20)
        planted = numpy.stack([views[i][:, random.permutation(views.shape[2])] for i in chosen])
        if d is not None:
            views, planted = reduced(d, views, planted)
        return views, planted
    return make


def foreign(background, other):
    def make(seed):
        others = pack(other)
        others = others[numpy.random.default_rng(30 + seed).permutation(len(others))[:GROUP]]
        return reduced(64, pack(background), others)
    return make


def rows():
    yield planted_case("group/word theme", "source_shift", word_theme)
    for name in ("ship", "frog"):
        yield planted_case(f"group/cifar {name}", "source_shift", image_class(name))
    yield planted_case("isolated/words", "leverage", isolated(lambda seed: words(seed)[:4400]))
    yield planted_case("isolated/cifar", "leverage", isolated(lambda _: pack("sscd-distilled-views-cifar10-core"), 64))
    yield planted_case("isolated/headlines", "leverage", isolated(lambda _: pack("minilm384-views-headlines-en-hourly-a"), 64))
    yield planted_case("foreign/clothing in cifar", "leverage", foreign("sscd-distilled-views-cifar10-core", "sscd-distilled-views-clothing-photos"))
    yield planted_case("foreign/debian in headlines", "leverage", foreign("minilm384-views-headlines-en-hourly-a", "minilm384-views-debian-desc-en-a"))
    for name in ("headlines-en-hourly-a", "reuters21578-a", "debian-desc-en-a"):
        yield from clean_case(name, f"minilm384-views-{name}")
    for name in ("headlines-en-hourly-a", "reuters21578-a"):
        yield from clean_case(name, f"minilm384-{name}", settled=512)


def as_text(table):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


if __name__ == "__main__":
    text = as_text(rows())
    print(text, end="")
    if "--write" in sys.argv:
        TABLE.write_text(text)
