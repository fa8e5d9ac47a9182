"""hostile_images_test.py - what becomes of images that are made to hurt, each stated; and what a stream of them costs."""

import io
import json
import os
import pathlib
import random
import resource
import struct
import subprocess
import tarfile
import zlib

import pytest

Image = pytest.importorskip("PIL.Image", reason="needs python3-pil")

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.path.abspath(os.environ.get("SLUICE", ROOT / "build" / "dev" / "sluice"))
QUICK = bool(os.environ.get("SLUICE_QUICK"))

KEPT, SEEN, BROKEN, LARGE = "kept, compared by bytes only", "found to be the original", "image_broken", "image_too_large"


def scene(seed, size=(320, 240)):
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (8, 8), bytes(rng.randrange(256) for _ in range(192)))
    return small.resize(size, Image.BICUBIC)


def saved(image, kind="JPEG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, rows, colour=2, bits=8, interlaced=0, extra=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def png_rows(image, depth=1):
    """Rows of an RGB image without filters, each sample `depth` bytes."""
    width, height = image.size
    data = image.convert("RGB").tobytes()
    wide = bytes(byte for byte in data for _ in range(depth)) if depth > 1 else data
    row = width * 3 * depth
    return b"".join(b"\0" + wide[y * row:(y + 1) * row] for y in range(height))


def jpeg_as(data, marker=b"\xff\xc0", **change):
    """A JPEG with something else in its frame: precision, height, width."""
    at = data.index(marker)
    frame = bytearray(data)
    frame[at + 4] = change.get("precision", frame[at + 4])
    for name, place in (("height", at + 5), ("width", at + 7)):
        if name in change:
            frame[place:place + 2] = struct.pack(">H", change[name])
    return bytes(frame)


def scans(data, copies):
    """A progressive JPEG whose last scan comes again and again."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * copies + data[-2:]


def with_exif(image, orientation, kind="JPEG"):
    """The image as a camera held another way writes it: what is shown is the same."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.transpose methods that undo each
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image.transpose(back[orientation]), kind, exif=exif)


def cases():
    """name: (bytes, result); a name's ending is the type that is claimed."""
    image = scene(1)
    whole, flat = saved(image, quality=90), Image.new("RGB", (300, 200), "white")
    progressive = saved(image, quality=90, progressive=True)
    as_png, as_webp = saved(image, "PNG"), saved(image, "WEBP", quality=90, method=0)
    frames = [scene(i) for i in (1, 2, 3)]
    palette = image.convert("P", palette=Image.ADAPTIVE, colors=200)
    grey_alpha = image.convert("LA")
    table = {
        # what can be read is read, whatever it is called
        "png-called.jpg": (as_png, SEEN),
        "webp-called.png": (as_webp, SEEN),
        "jpeg-called.webp": (whole, "exact"),
        "cmyk.jpg": (saved(image.convert("CMYK"), quality=90), SEEN),
        "progressive.jpg": (progressive, SEEN),
        "grey.jpg": (saved(image.convert("L"), quality=90), SEEN),
        "16-bit.png": (png(320, 240, png_rows(image, 2), bits=16), SEEN),
        "grey-alpha.png": (saved(grey_alpha, "PNG"), SEEN),
        "palette.png": (saved(palette, "PNG"), SEEN),
        "apng.png": (saved(frames[0], "PNG", save_all=True, append_images=frames[1:]), SEEN),
        "junk-behind.jpg": (saved(image, quality=89) + b"\0" * 100_000, SEEN),
        "unknown-chunks.png": (png(320, 240, png_rows(image), extra=chunk(b"abCd", b"x") * 50_000), SEEN),
        # what is an image but not for us
        "animated.webp": (saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], method=0), KEPT),
        "animated2.webp": (saved(frames[0], "WEBP", save_all=True, append_images=frames[2:], method=0), KEPT),
        "12-bit.jpg": (jpeg_as(whole, precision=12), KEPT),
        "a-gif.jpg": (saved(image, "GIF"), KEPT),
        "html.png": (b"<html><script>alert(1)</script></html>", KEPT),
        "white.png": (saved(flat, "PNG"), KEPT),
        "white.jpg": (saved(flat), KEPT),
        "black.png": (saved(Image.new("RGB", (300, 200)), "PNG"), KEPT),
        "tiny1.png": (saved(scene(1, (15, 15)), "PNG"), KEPT),
        "tiny2.png": (saved(scene(1, (14, 15)), "PNG"), KEPT),
        "transparent.png": (saved(Image.new("RGBA", (300, 200), (9, 9, 9, 0)), "PNG"), KEPT),
        "empty.jpg": (b"", KEPT),
        # bombs
        "pixels.png": (png(65535, 65535, b"\0" * 1000), LARGE),
        "pixels-just-over.png": (png(8000, 5001, b"\0" * 1000), LARGE),
        "interlaced-over.png": (png(4001, 4000, b"\0" * 1000, interlaced=1), LARGE),
        "pixels.jpg": (jpeg_as(whole, width=65535, height=65535), LARGE),
        "pixels.webp": (as_webp[:26] + struct.pack("<HH", 16383, 16383) + as_webp[30:], LARGE),
        "scans.jpg": (scans(saved(scene(1, (2000, 1500)), quality=30, progressive=True), 140), LARGE),
        "scans-small.jpg": (scans(progressive, 4000), BROKEN),
        "text-bomb.png": (png(320, 240, png_rows(image), extra=chunk(
            b"zTXt", b"a\0\0" + zlib.compress(bytes(16 << 20), 9)) * 20), BROKEN),
        "profile-bomb.png": (png(320, 240, png_rows(image), extra=chunk(
            b"iCCP", b"a\0\0" + zlib.compress(bytes(64 << 20), 9))), BROKEN),
        # damage
        "no-data.png": (png(8000, 5000, b"\0" * 1000), BROKEN),
        "bad-check.png": (as_png[:-20] + b"\0" + as_png[-19:], BROKEN),
        "no-pixels.png": (png(0, 0, b""), BROKEN),
        "no-pixels.jpg": (jpeg_as(whole, width=0), BROKEN),
        "signature.png": (as_png[:8], BROKEN),
        "marker.jpg": (b"\xff\xd8\xff", BROKEN),
        "riff.webp": (as_webp[:12], BROKEN),
    }
    for orientation in range(2, 9):
        table[f"exif{orientation}.jpg"] = (with_exif(image, orientation), SEEN)
    for kind in ("PNG", "WEBP"):
        table[f"exif6.{kind.lower()}"] = (with_exif(image, 6, kind), SEEN)
    for data, name in ((whole, "cut.jpg"), (progressive, "cut-progressive.jpg"), (as_png, "cut.png"), (as_webp, "cut.webp")):
        for part in range(1, 16):
            table[f"{part}-{name}"] = (data[:len(data) * part // 16], BROKEN)
    return whole, table


def filter_tar(folder, files, *settings):
    """(records, CPU seconds) of the images, in order."""
    with tarfile.open(folder / "in.tar", "w") as shard:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([SLUICE, "filter", "-o", "/dev/null", "--verdicts", "verdicts", *settings, "in.tar"], cwd=folder,
                          capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (folder / "verdicts").read_text().splitlines()]
    assert [record["id"] for record in records] == [name for name, _ in files]
    return records, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def result_of(record):
    if record["decision"] == "refuse":
        return record["reasons"][0]
    if record["duplicate"] is None:
        return KEPT
    assert record["duplicate"]["of"] == "original.jpg", record
    return SEEN if record["duplicate"]["method"] == "image" else record["duplicate"]["method"]


@pytest.mark.parametrize("settings", [(), ("--set", "duplicate.image.profile=alike"),
                                      ("--set", "duplicate.image.turns=true")])
def test_each_hostile_image_has_its_stated_result(tmp_path, settings):
    whole, table = cases()
    files = [("original.jpg", whole)] + [(name, data) for name, (data, _) in table.items()]
    records, cpu_s = filter_tar(tmp_path, files, *settings)
    got = {record["id"]: result_of(record) for record in records[1:]}
    assert got == {name: result for name, (_, result) in table.items()}
    assert cpu_s < 20  # of a hundred; sanitizers take ten times as long


def test_documented_table_names_the_results():
    """The table of the docs has a row for every kind of result that this test states."""
    text = (ROOT / "deploy" / "docs" / "images.md").read_text()
    for words in ("image_broken", "image_too_large", "no_memory", "by their bytes only", "40 megapixels", "16 megapixels"):
        assert words in text, words


def test_hostile_mix_costs_at_most_twice_a_normal_stream(tmp_path):
    n = 60 if QUICK else 240
    normal = [(f"{i}.jpg", saved(scene(1000 + i, (640, 480)), quality=85)) for i in range(n)]
    _, table = cases()
    hostile = [(data, name) for name, (data, _) in table.items() if not name.startswith("scans.")]
    mix = [one if i % 2 == 0 else (f"{i}-{hostile[i // 2 % len(hostile)][1]}", hostile[i // 2 % len(hostile)][0])
           for i, one in enumerate(normal)]
    _, normal_s = min((filter_tar(tmp_path, normal) for _ in range(3)), key=lambda run: run[1])
    records, mix_s = min((filter_tar(tmp_path, mix) for _ in range(3)), key=lambda run: run[1])
    print(f"{n} images: normal {normal_s:.3f} s, half of them hostile {mix_s:.3f} s of processor time")
    assert mix_s <= 2 * normal_s
    normal_ids = {name for name, _ in normal}
    assert all(record["decision"] == "keep" for record in records if record["id"] in normal_ids)
