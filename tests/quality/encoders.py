"""encoders.py - the built-in encoders beside real ones, on the same samples.

    python3 tests/quality/encoders.py [--write]
    python3 tests/quality/encoders.py --speed     what making views costs, in CPU time of one thread

Texts beside MiniLM, images beside distilled SSCD, three views each, in random order through `sluice filter`:

    cosine      rank correlation of the cosines of 200,000 pairs of anchors, built-in against real
    near_10     share of samples whose nearest by the built-in encoder is among the 10 nearest by the real one
    loss, self, leverage    rank correlation of the score, built-in against real; of leverage where both are `live`
    reliability by each encoder: another draw of augmentations would correlate so much with `self`
    foreign     AUC of `leverage` for 22 samples of another domain, of which the stream does not know that they are one source
    shift       the same by `source_shift`, where they are

For scores the real vectors are reduced to their 64 largest directions: 2,700 samples are too few for a covariance of 384 or 512."""

import csv
import functools
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile

import numpy

import rare

BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", rare.ROOT / "build" / "release"))
TABLE = pathlib.Path(__file__).with_name("encoders.csv")
FIELDS = ["case", "samples", "without_views", "cosine", "near_10", "loss", "self", "leverage", "reliability", "reliability_real", "foreign",
          "foreign_real", "shift", "shift_real"]


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def wire(identity, payload, media_type):
    return field(1, identity.encode()) + field(4, payload) + field(5, media_type.encode())


def of_source(one, source):
    return one + field(2, source.encode())


def builtin_views(samples):
    """(N, 3, 256); NaN where there are none."""
    rows, begin = [], 0
    while begin < len(samples):
        batch, end = b"", begin
        while end < len(samples) and end - begin < 1000 and len(batch) < 1 << 21:
            batch, end = batch + field(1, samples[end]), end + 1
        out = subprocess.run([BUILD / "tests" / "builtin_views", "1"], input=batch, capture_output=True, check=True).stdout
        at = 0
        for _ in range(begin, end):
            n, = struct.unpack_from("<I", out, at)
            rows.append(numpy.frombuffer(out, "<f4", n * 256, at + 4).reshape(n, 256) if n else numpy.full((3, 256), numpy.nan))
            at += 4 + n * 1024
        begin = end
    return numpy.stack(rows)


@functools.cache
def texts(name):
    path = next(rare.DATA.glob(f"*/{name}.jsonl.zst"))
    lines = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n")
    by_id = {o["id"]: o["text"] for o in map(json.loads, filter(None, lines))}
    return [wire(i, by_id[i].encode(), "text/plain") for i in rare.identities(f"minilm384-views-{name}")]


@functools.cache
def pictures(name):
    path = rare.DATA / "images" / name
    if path.suffix == ".zst":
        data = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout
        archive = tarfile.open(fileobj=io.BytesIO(data))
    else:
        archive = tarfile.open(path)
    return {pathlib.PurePath(m.name).stem: archive.extractfile(m).read() for m in archive if m.isfile()}


def images(pack, archive):
    by_stem = pictures(archive)
    return [wire(i, by_stem[pathlib.PurePath(i).stem], "image/jpeg") for i in rare.identities(f"sscd-distilled-views-{pack}")]


def scores(samples, views=None):
    """Influence of each sample: with the built-in encoder, or with views."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "in.pb").write_bytes(b"".join(varint(len(s)) + s for s in samples))
        more = [] if views is None else ["--views", folder / "views.npy"]
        if views is not None:
            numpy.save(folder / "views.npy", views.astype(numpy.float32))
        subprocess.run([rare.SLUICE, "filter", "--set", "encoder=builtin", "--set", "duplicate.enabled=false", "--set",
                        "influence.expert.warmup=512", "--set", "influence.expert.refresh_lag=1", "--set",
                        "influence.expert.refresh=[512, 1024, 1536, 2048, 2304, 2560]", *more, "--verdicts", folder / "v", "-o", os.devnull,
                        folder / "in.pb"], check=True, stderr=subprocess.DEVNULL)
        return [json.loads(line)["influence"] or {"state": "none"} for line in (folder / "v").read_text().splitlines()]


def column(found, key):
    there = ("live",) if key == "leverage" else ("live", "stale")
    return numpy.array([s[key] if s["state"] in there and s[key] is not None else numpy.nan for s in found], float)


def spearman(a, b):
    both = ~(numpy.isnan(a) | numpy.isnan(b))
    rank = [numpy.argsort(numpy.argsort(x[both])) for x in (a, b)]
    return numpy.corrcoef(*rank)[0, 1]


def pairs_of(anchors):
    n = len(anchors)
    i, j = numpy.random.default_rng(0).integers(0, n, (2, 200000))
    cosine = (anchors @ anchors.T)
    pairs = cosine[i, j][i != j]
    numpy.fill_diagonal(cosine, -2)
    return pairs, numpy.argsort(-cosine, 1)[:, :10]


def case(name, samples, real, foreign, foreign_real):
    order = numpy.random.default_rng(2).permutation(len(samples))
    samples, real = [samples[i] for i in order], real[order]
    made = builtin_views(samples)
    there = ~numpy.isnan(made[:, 0, 0])
    own, own_near = pairs_of(made[there, 0].astype(float))
    theirs, their_near = pairs_of(real[there, 0])
    # 22 of the other domain, strewn over the end of the stream
    random = numpy.random.default_rng(1)
    places = numpy.sort(random.integers(rare.BEGIN, len(samples), len(foreign)))
    mark = numpy.insert(numpy.zeros(len(samples), bool), places, True)
    stream = [of_source(one, f"clean{random.integers(40)}") for one in samples]
    for place, one in zip(places[::-1], foreign[::-1]):
        stream.insert(place, of_source(one, "planted"))
    short, short_foreign = rare.reduced(64, real, foreign_real)
    found = scores(stream), scores(stream, numpy.insert(short, places, short_foreign, 0))
    row = {"case": name, "samples": len(samples), "without_views": int((~there).sum()), "cosine": spearman(own, theirs),
           "near_10": numpy.mean([a[0] in b for a, b in zip(own_near, their_near)])}
    for key in ("loss", "self", "leverage"):
        row[key] = spearman(*(column(f, key)[~mark] for f in found))
    for key, f in zip(("", "_real"), found):
        leverage = column(f, "leverage")
        row["reliability" + key] = column(f, "reliability")[~numpy.isnan(column(f, "reliability"))][-1]
        row["foreign" + key] = rare.auc(leverage[mark], leverage[rare.BEGIN:][~mark[rare.BEGIN:]])
        shift = column(f, "source_shift")
        row["shift" + key] = rare.auc(shift[mark], shift[rare.BEGIN:][~mark[rare.BEGIN:]])
    return {key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()}


def text_case(name, other):
    chosen = numpy.random.default_rng(5).permutation(1400)[:rare.GROUP]
    return case(f"text/{name}", texts(name), rare.pack(f"minilm384-views-{name}"), [texts(other)[i] for i in chosen],
                rare.pack(f"minilm384-views-{other}")[chosen])


def rows():
    yield text_case("headlines-en-hourly-a", "debian-desc-en-a")
    chosen = numpy.random.default_rng(5).permutation(250)[:rare.GROUP]
    clothing = images("clothing-photos", "clothing-photos.tar")
    yield case("image/cifar10-core", images("cifar10-core", "cifar10-jpeg.tar.zst"), rare.pack("sscd-distilled-views-cifar10-core"),
               [clothing[i] for i in chosen], rare.pack("sscd-distilled-views-clothing-photos")[chosen])


def as_text(table):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def speed():
    clothing = images("clothing-photos", "clothing-photos.tar")
    packs = {name: texts(name) for name in ("headlines-en-hourly-a", "reuters21578-a", "debian-desc-en-a")}
    for name, samples in {**packs, "clothing-photos": clothing[:120]}.items():
        batch = b"".join(field(1, one) for one in samples)
        done = subprocess.run([BUILD / "tests" / "builtin_views", "1", "time"], input=batch, capture_output=True, check=True)
        print(f"{name}: {done.stdout.decode().strip()}")


if __name__ == "__main__" and "--speed" in sys.argv:
    speed()
elif __name__ == "__main__":
    text = as_text(rows())
    print(text, end="")
    if "--write" in sys.argv:
        TABLE.write_text(text)
