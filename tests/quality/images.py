"""images.py - the table of images: judged pairs, planted copies and look-alikes of real photographs.

    tests/quality/images.py            prints the table, and how it differs from the one kept
    tests/quality/images.py --write    writes tests/quality/images.csv

Streaming definitions, as in measure.py: an arriving image is compared with kept ones only. Rows:
  cifar10    2,637 small photographs in the order of the index; 142 pairs judged near-duplicates by people,
             18 judged very similar count as neither; peer: 256-bit phash at its best radius (F1 .765)
  distinct   550 product photographs; every flag counts as false, although a few are shots of one scene
  CASE       the 550, then each of them changed (those that turn: with `turns` only); true = 550; correct = the photograph is named (or what
             represents it)"""

import collections
import csv
import functools
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from PIL import Image, ImageDraw, ImageEnhance

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data")) / "images"
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build" / "release"))
TABLE = ROOT / "tests" / "quality" / "images.csv"
FIELDS = ["case", "profile", "samples", "true", "flagged", "correct", "precision", "recall", "f1"]
PROFILES = ["copies", "alike"]
TURNING = "copies turns"  # the profile copies, with duplicate.image.turns
PACKS = ["clothing-photos", "grocery-photos"]


def scaled(image, by):
    return image.resize((round(image.width * by), round(image.height * by)), Image.BICUBIC)


def cropped(image, left, top, right, bottom):
    box = (image.width * left, image.height * top, image.width * (1 - right), image.height * (1 - bottom))
    return image.crop(tuple(round(side) for side in box))


def watermarked(image):
    """A translucent band with bars across the middle, and an opaque badge in a corner."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    w, h = image.size
    for i in range(9):
        draw.rectangle([w * (0.08 + 0.1 * i), h * 0.44, w * (0.13 + 0.1 * i), h * 0.56], fill=(255, 255, 255, 140))
    draw.rectangle([w * 0.7, h * 0.9, w, h], fill=(200, 30, 30, 200))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def brighter(by):
    return lambda image: ImageEnhance.Brightness(image).enhance(by)


def contrast(by):
    return lambda image: ImageEnhance.Contrast(image).enhance(by)


# case: (what is done, how it is saved)
CASES = {
    "jpeg quality 85": (lambda i: i, ("JPEG", {"quality": 85})),
    "jpeg quality 50": (lambda i: i, ("JPEG", {"quality": 50, "progressive": True})),
    "jpeg quality 20": (lambda i: i, ("JPEG", {"quality": 20})),
    "webp quality 60": (lambda i: i, ("WEBP", {"quality": 60, "method": 0})),
    "png": (lambda i: i, ("PNG", {"compress_level": 1})),
    "size 170 %": (lambda i: scaled(i, 1.7), ("JPEG", {"quality": 80})),
    "size 50 %": (lambda i: scaled(i, 0.5), ("JPEG", {"quality": 80})),
    "size 25 %": (lambda i: scaled(i, 0.25), ("JPEG", {"quality": 80})),
    "128 x 128": (lambda i: i.resize((128, 128), Image.LANCZOS), ("JPEG", {"quality": 75})),
    "grey": (lambda i: i.convert("L"), ("JPEG", {"quality": 80})),
    "brightness +25 %": (brighter(1.25), ("JPEG", {"quality": 80})),
    "brightness -25 %": (brighter(0.75), ("JPEG", {"quality": 80})),
    "contrast +40 %": (contrast(1.4), ("JPEG", {"quality": 80})),
    "contrast -40 %": (contrast(0.6), ("JPEG", {"quality": 80})),
    "watermark": (watermarked, ("JPEG", {"quality": 80})),
    "crop 5 % all round": (lambda i: cropped(i, .05, .05, .05, .05), ("JPEG", {"quality": 80})),
    "crop 10 % one side": (lambda i: cropped(i, .1, 0, 0, 0), ("JPEG", {"quality": 80})),
    "crop 10 % two sides": (lambda i: cropped(i, .1, .1, 0, 0), ("JPEG", {"quality": 80})),
}
COPIES = list(CASES)[:9]  # saved again: recall at least .99
TURNS = {
    "flip": (lambda i: i.transpose(Image.FLIP_LEFT_RIGHT), ("JPEG", {"quality": 80})),
    "flip upside down": (lambda i: i.transpose(Image.FLIP_TOP_BOTTOM), ("JPEG", {"quality": 80})),
    "quarter turn": (lambda i: i.transpose(Image.ROTATE_90), ("JPEG", {"quality": 80})),
    "half turn": (lambda i: i.transpose(Image.ROTATE_180), ("JPEG", {"quality": 80})),
    "quarter turn back, size 50 %": (lambda i: scaled(i.transpose(Image.ROTATE_270), 0.5), ("JPEG", {"quality": 80})),
    "flip over a diagonal": (lambda i: i.transpose(Image.TRANSPOSE), ("WEBP", {"quality": 80, "method": 0})),
    "flip over the other": (lambda i: i.transpose(Image.TRANSVERSE), ("JPEG", {"quality": 80})),
    "jpeg quality 50": CASES["jpeg quality 50"],
}


@functools.cache
def photographs():
    """[(id, bytes)] of the product packs, in order."""
    found = []
    for pack in PACKS:
        with tarfile.open(DATA / f"{pack}.tar") as shard:
            found += [(entry.name, shard.extractfile(entry).read()) for entry in shard if entry.isfile()]
    return found


def saved(image, kind):
    out = io.BytesIO()
    image.save(out, kind[0], **kind[1])
    return out.getvalue()


def changed(case):
    change, kind = (CASES | TURNS)[case]
    return [(f"changed/{name}", saved(change(Image.open(io.BytesIO(data)).convert("RGB")), kind))
            for name, data in photographs()]


@functools.cache
def small_photographs():
    """[(id, PNG)] of the core of cifar10, its mates, and the pairs judged very similar."""
    index = list(csv.DictReader(open(DATA / "cifar10.index.tsv"), delimiter="\t"))
    core = [row for row in index if row["role"].startswith("core")]
    raw = subprocess.run(["zstd", "-dc", DATA / "cifar10-32x32x3.rgb.zst"], stdout=subprocess.PIPE, check=True).stdout
    images = []
    for row in core:
        at = int(row["raw_row"]) * 3072
        images.append((row["id"] + ".png", saved(Image.frombytes("RGB", (32, 32), raw[at:at + 3072]), ("PNG", {}))))
    mates, similar = collections.defaultdict(set), collections.defaultdict(set)
    for row in csv.DictReader(open(DATA / "cifar10.pairs.tsv"), delimiter="\t"):
        near = mates if row["judgment"] == "1" else similar
        a, b = row["id_a"] + ".png", row["id_b"] + ".png"
        near[a].add(b)
        near[b].add(a)
    return images, mates, similar


def settings_of(profile):
    name, *turns = profile.split()
    return ["--set", f"duplicate.image.profile={name}"] + (["--set", "duplicate.image.turns=true"] if turns else [])


def verdicts(images, profile):
    """The verdict records of the images, in order."""
    with tempfile.TemporaryDirectory() as folder:
        shard = os.path.join(folder, "images.tar")
        with tarfile.open(shard, "w") as out:
            for name, data in images:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                out.addfile(entry, io.BytesIO(data))
        records = os.path.join(folder, "verdicts.jsonl")
        subprocess.run([BUILD / "sluice", "filter", *settings_of(profile), "-o", "/dev/null",
                        "--verdicts", records, shard], check=True, stderr=subprocess.DEVNULL)
        found = [json.loads(line) for line in open(records)]
    assert [record["id"] for record in found] == [name for name, _ in images]
    return found


def row_of(case, profile, samples, true, flagged, correct):
    precision = correct / flagged if flagged else 1.0
    recall = correct / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"case": case, "profile": profile, "samples": samples, "true": true, "flagged": flagged, "correct": correct,
            "precision": f"{precision:.3f}", "recall": f"{recall:.3f}", "f1": f"{f1:.3f}"}


def judged_row(profile):
    images, mates, similar = small_photographs()
    flagged = correct = true = 0
    seen = set()
    for record in verdicts(images, profile):
        name = record["id"]
        true += bool(mates[name] & seen)
        seen.add(name)
        if record["duplicate"] is None or record["duplicate"]["of"] in similar[name]:
            continue
        flagged += 1
        correct += record["duplicate"]["of"] in mates[name]
    return row_of("cifar10", profile, len(images), true, flagged, correct)


def planted_row(case, profile):
    originals = photographs()
    records = verdicts(originals + changed(case), profile)
    stands_for = {record["id"]: record["duplicate"]["of"] if record["duplicate"] else record["id"]
                  for record in records[:len(originals)]}
    flagged = correct = 0
    for record in records[len(originals):]:
        if record["duplicate"] is not None:
            flagged += 1
            correct += record["duplicate"]["of"] == stands_for[record["id"].removeprefix("changed/")]
    return row_of(case, profile, len(records), len(originals), flagged, correct)


def distinct_row(profile):
    records = verdicts(photographs(), profile)
    return row_of("distinct", profile, len(records), 0, sum(r["duplicate"] is not None for r in records), 0)


def rows():
    for profile in PROFILES:
        yield judged_row(profile)
        yield distinct_row(profile)
        for case in CASES:
            yield planted_row(case, profile)
    yield distinct_row(TURNING)
    for case in TURNS:
        yield planted_row(case, TURNING)


def as_text(table):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def main():
    if not DATA.is_dir():
        print(f"SKIPPED: no data at {DATA} (SLUICE_DATA)")
        return 0
    text = as_text(list(rows()))
    print(text, end="")
    if "--write" in sys.argv:
        TABLE.write_text(text)
    elif text != TABLE.read_text():
        print("differs from the table that is kept")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
