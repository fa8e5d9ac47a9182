"""images_test.py - images through the filter: what is a duplicate, what is not compared, what is refused."""

import io
import json
import os
import pathlib
import random
import subprocess
import tarfile
import tempfile
import unittest

import pytest

Image = pytest.importorskip("PIL.Image", reason="needs python3-pil")

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.path.abspath(os.environ.get("SLUICE", ROOT / "build" / "dev" / "sluice"))


def scene(seed, size=(320, 240)):
    """A smooth picture of its own: 8 x 8 random colours, enlarged."""
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (8, 8), bytes(rng.randrange(256) for _ in range(192)))
    return small.resize(size, Image.BICUBIC)


def saved(image, kind="JPEG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


class Images(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def filter(self, *args):
        done = subprocess.run([SLUICE, "filter", "-o", "out", "--verdicts", "verdicts", *args], cwd=self.dir,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        records = [json.loads(line) for line in (self.dir / "verdicts").read_text().splitlines()]
        kept = [json.loads(line) for line in (self.dir / "out").read_text().splitlines()]
        return records, kept

    def make(self, files):
        for name, data in files.items():
            path = self.dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def test_copies_of_a_folder_are_dropped_and_name_their_original(self):
        self.make({"shop/a/1.jpg": saved(scene(1), quality=90), "shop/a/2.jpg": saved(scene(2), quality=90),
                   "shop/b/1.webp": saved(scene(1, (160, 120)), "WEBP", quality=60),
                   "shop/b/2.png": saved(scene(2, (640, 480)), "PNG"), "shop/b/3.jpg": saved(scene(3)),
                   "shop/b/again.jpg": saved(scene(3)), "shop/b/label.txt": b"no image"})
        records, kept = self.filter("shop")
        self.assertEqual([(r["id"], r["source"], r["decision"]) for r in records],
                         [("a/1.jpg", "a", "keep"), ("a/2.jpg", "a", "keep"), ("b/1.webp", "b", "drop"),
                          ("b/2.png", "b", "drop"), ("b/3.jpg", "b", "keep"), ("b/again.jpg", "b", "drop")])
        self.assertEqual([r["duplicate"]["of"] for r in records if r["duplicate"]], ["a/1.jpg", "a/2.jpg", "b/3.jpg"])
        self.assertEqual([r["duplicate"]["method"] for r in records if r["duplicate"]], ["image", "image", "exact"])
        self.assertTrue(all(0.94 <= r["duplicate"]["similarity"] <= 1 for r in records if r["duplicate"]))
        self.assertEqual([line["image"] for line in kept], ["shop/a/1.jpg", "shop/a/2.jpg", "shop/b/3.jpg"])
        os.rename(self.dir / "out", self.dir / "kept.jsonl")
        again, _ = self.filter("kept.jsonl")  # what comes out goes in
        self.assertEqual([(r["id"], r["decision"]) for r in again],
                         [("a/1.jpg", "keep"), ("a/2.jpg", "keep"), ("b/3.jpg", "keep")])

    def test_shards_and_lines_give_the_verdicts_of_the_folder(self):
        files = {f"{i:02}.jpg": saved(scene(i // 2), quality=60 + i) for i in range(20)}
        self.make({f"folder/{name}": data for name, data in files.items()})
        for shard, names in (("0.tar", list(files)[:11]), ("1.tar.gz", list(files)[11:])):
            with tarfile.open(self.dir / shard, "w:gz" if shard.endswith("gz") else "w") as out:
                for name in names:
                    out.add(self.dir / "folder" / name, name)
        lines = [json.dumps({"id": name, "image": f"folder/{name}"}) for name in files]
        (self.dir / "lines.jsonl").write_text("\n".join(lines))
        folder, _ = self.filter("folder")
        self.assertEqual([r["decision"] for r in folder], ["keep", "drop"] * 10)
        self.assertEqual(self.filter("0.tar", "1.tar.gz")[0], folder)
        self.assertEqual(self.filter("lines.jsonl")[0], folder)

    def test_images_that_say_nothing_are_not_duplicates_of_each_other(self):
        self.make({"f/white.png": saved(Image.new("RGB", (300, 200), "white"), "PNG"),
                   "f/white.jpg": saved(Image.new("RGB", (300, 200), "white")),
                   "f/black.png": saved(Image.new("RGB", (300, 200), "black"), "PNG"),
                   "f/tiny1.png": saved(scene(1, (15, 15)), "PNG"), "f/tiny2.png": saved(scene(1, (14, 14)), "PNG"),
                   "f/old.gif": saved(scene(1), "GIF"), "f/old.bmp": saved(scene(1), "BMP"),
                   "f/white2.png": saved(Image.new("RGB", (300, 200), "white"), "PNG")})
        records, _ = self.filter("f")
        self.assertEqual([r["id"] for r in records if r["decision"] != "keep"], ["white2.png"])
        self.assertEqual(records[-1]["duplicate"]["method"], "exact")
        self.assertIn("images compared by their bytes only: 6 flat or tiny, 2 of other formats", self.said)

    def test_hostile_images_are_refused_and_change_nothing(self):
        whole = saved(scene(1), quality=90)
        bomb = bytearray(saved(scene(1), "PNG"))
        bomb[16:24] = b"\0\0\xff\xff" * 2
        self.make({"f/a.jpg": whole[:len(whole) // 2], "f/b.png": bytes(bomb), "f/c.jpg": b"",
                   "f/d.png": whole, "f/e.jpg": saved(scene(1).convert("CMYK"), quality=90)})
        records, _ = self.filter("f")
        self.assertEqual([(r["id"], r["decision"], r["reasons"]) for r in records],
                         [("a.jpg", "refuse", ["image_broken"]), ("b.png", "refuse", ["image_too_large"]),
                          ("c.jpg", "keep", []), ("d.png", "keep", []), ("e.jpg", "drop", ["duplicate"])])
        self.assertEqual(records[-1]["duplicate"]["of"], "d.png")

    def test_state_remembers_images(self):
        self.make({"a/1.jpg": saved(scene(1)), "a/2.jpg": saved(scene(2)), "b/3.png": saved(scene(1), "PNG"),
                   "b/4.jpg": saved(scene(4))})
        self.filter("--state", "state", "a")
        records, _ = self.filter("--state", "state", "b")
        self.assertEqual([(r["id"], r["offset"], r["decision"]) for r in records],
                         [("3.png", 2, "drop"), ("4.jpg", 3, "keep")])
        self.assertEqual(records[0]["duplicate"]["of"], "1.jpg")

    def test_profile_and_threshold_are_obeyed(self):
        image = scene(5, (400, 300))
        self.make({"f/1.jpg": saved(image), "f/2.jpg": saved(image.crop((16, 12, 384, 288)))})
        self.assertEqual([r["decision"] for r in self.filter("f")[0]], ["keep", "keep"])
        found, _ = self.filter("--set", "duplicate.image.profile=alike", "f")
        self.assertEqual(found[1]["decision"], "drop")
        share = found[1]["duplicate"]["similarity"]
        for threshold, decision in ((share - 0.01, "drop"), (share + 0.01, "keep")):
            records, _ = self.filter("--set", f"duplicate.image.threshold={threshold:.3f}", "f")
            self.assertEqual(records[1]["decision"], decision)
        records, _ = self.filter("--set", "duplicate.image.min_quality=100", "f")
        self.assertEqual([r["decision"] for r in records], ["keep", "keep"])


if __name__ == "__main__":
    unittest.main()
