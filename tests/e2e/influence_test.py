"""influence_test.py - scores by `sluice filter --views`: whole runs beside float64, and the same however samples arrive."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.environ.get("SLUICE", str(ROOT / "build" / "dev" / "sluice"))
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data")) / "influence"
QUICK = os.environ.get("SLUICE_QUICK")


def ranks(values):
    order = numpy.argsort(values, kind="stable")
    out = numpy.empty(len(values))
    out[order] = numpy.arange(len(values))
    return out


def write_lines(path, n, start=0):
    path.write_text("".join(json.dumps({"id": f"s{i}", "text": f"sample {i}"}) + "\n" for i in range(start, start + n)))


def settings_of(case, folder):
    config = json.loads((DATA / case / "config.json").read_text())
    references = []
    for name in config["references"]:
        views = DATA / case / f"{name}_views.npy"
        write_lines(folder / f"{name}.jsonl", len(numpy.load(views, mmap_mode="r")))
        references.append(f"{{name: {name}, path: {folder / name}.jsonl, views: {views}}}")
    damping = f"relative: {config['prior_strength']}" if "prior_strength" in config else f"margin: {config['negative_margin']}"
    return {
        "duplicate.enabled": "false",
        "influence.half_life": int(config["half_life"] or 0),
        "influence.damping": f"{{{damping}}}",
        "influence.references": "[" + ", ".join(references) + "]",
        "influence.expert.adapter": config["adapter"],
        "influence.expert.warmup": config["warmup"],
        "influence.expert.refresh": config["refresh_at"],
        "influence.expert.refresh_lag": 0,
        "influence.expert.ridge": config["ridge_rel"],
        "influence.expert.rank": config["rank"],
        "influence.expert.bound_sample": 0,
        "influence.expert.bound_source": 0,
    }


def run(folder, settings, views, lines, *more):
    verdicts = folder / "verdicts"
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    subprocess.run([SLUICE, "filter", *words, "--views", views, "--verdicts", verdicts, "-o", os.devnull, *more, lines],
                   check=True, stderr=subprocess.PIPE)
    return verdicts.read_bytes()


def field(record, *names):
    value = record["influence"]
    for name in names:
        value = value[name] if value is not None else None
    return numpy.nan if value is None else value


@unittest.skipUnless(DATA.exists(), f"no {DATA}")
class Golden(unittest.TestCase):
    def check(self, case):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            views = DATA / case / "views.npy"
            write_lines(folder / "in.jsonl", len(numpy.load(views, mmap_mode="r")))
            records = [json.loads(line) for line in run(folder, settings_of(case, folder), views, folder / "in.jsonl").splitlines()]
        refused = numpy.load(DATA / case / "expect_refused.npy").astype(bool)
        self.assertEqual([r["decision"] == "refuse" for r in records], list(refused))
        for names in (("loss",), ("self",), ("ratio",), ("leverage",), ("residual",), ("toward", "ref0"), ("toward", "ref1")):
            want = numpy.load(DATA / case / f"expect_{names[0]}.npy").astype(float)
            want = want[:, int(names[1][-1])] if len(names) == 2 else want
            have = numpy.array([field(r, *names) for r in records], float)
            there = ~numpy.isnan(want)
            numpy.testing.assert_array_equal(numpy.isnan(have), ~there, err_msg=f"{case} {names}")
            have, want = have[there], want[there]
            error = numpy.abs(have - want) / numpy.maximum(numpy.abs(want), 1e-3 * numpy.median(numpy.abs(want)))
            spearman = numpy.corrcoef(ranks(have), ranks(want))[0, 1]
            print(case, names, f"spearman {spearman:.6f} p99 {numpy.quantile(error, .99):.1e}")
            self.assertGreaterEqual(spearman, 0.999, f"{case} {names}")
            self.assertLessEqual(numpy.quantile(error, 0.99), 1e-2, f"{case} {names}")

    def test_fixed_adapter_agrees_with_float64(self):
        self.check("online-a")

    def test_half_life_agrees_with_float64(self):
        self.check("online-b")

    def test_stepped_adapter_agrees_with_float64(self):
        self.check("online-c")


class Arrival(unittest.TestCase):
    """Default settings, but for a warm-up that ends early, and made-up views that resemble each other."""

    SETTINGS = {"duplicate.embedding.threshold": 1, "influence.expert.warmup": 512, "influence.expert.refresh_lag": 2,
                "influence.references": "[{name: first, source: \"\", samples: 300}]"}

    def views(self, folder, n, k=3, d=24, seed=1):
        random = numpy.random.default_rng(seed)
        scale = 1 / numpy.arange(1, d + 1)
        anchor = random.normal(size=(n, 1, d)) * scale + 0.3
        views = anchor + random.normal(size=(n, k, d)) * scale * 0.3
        views[:, 0] = anchor[:, 0]
        numpy.save(folder / "views.npy", views.astype(numpy.float32))
        return views.astype(numpy.float32)

    def test_scores_say_their_state(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.views(folder, 2000)
            write_lines(folder / "in.jsonl", 2000)
            records = [json.loads(line) for line in
                       run(folder, self.SETTINGS, folder / "views.npy", folder / "in.jsonl").splitlines()]
        self.assertEqual({r["influence"]["state"] for r in records[:512]}, {"warming"})
        self.assertIsNone(records[100]["influence"]["self"])
        self.assertTrue({r["influence"]["state"] for r in records[512:]} <= {"live", "stale"})
        last = records[-1]["influence"]
        self.assertGreater(last["self"], 0)
        self.assertIsNotNone(last["toward"]["first"])
        self.assertTrue(0 <= last["percentile"]["self"] <= 1)
        self.assertTrue(0 <= last["percentile"]["toward"]["first"] <= 1)
        self.assertTrue(0 <= last["reliability"] <= 1)
        self.assertIsNotNone(last["source_shift"])

    def test_a_restart_in_the_middle_changes_nothing(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            n = 2000 if QUICK else 4000
            views = self.views(folder, n)
            write_lines(folder / "in.jsonl", n)
            whole = run(folder, self.SETTINGS, folder / "views.npy", folder / "in.jsonl")
            parts = b""
            lines = (folder / "in.jsonl").read_text().splitlines(keepends=True)
            for i, (first, end) in enumerate(((0, 300), (300, 1111), (1111, 1112), (1112, n))):
                (folder / "part.jsonl").write_text("".join(lines[first:end]))
                numpy.save(folder / "part.npy", views[first:end])
                parts += run(folder, self.SETTINGS, folder / "part.npy", folder / "part.jsonl", "--state", folder / "state")
            self.assertEqual(whole, parts)

    def test_views_that_are_too_few_or_too_many_are_an_error(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.views(folder, 10)
            for n in (9, 11):
                write_lines(folder / "in.jsonl", n)
                done = subprocess.run([SLUICE, "filter", "--views", folder / "views.npy", "-o", os.devnull, folder / "in.jsonl"],
                                      capture_output=True)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"--views has", done.stderr)

    def test_a_fifth_encoder_and_a_changed_dimension_are_refused(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.views(folder, 6)
            encoders = ["a@1", "b@1", "c@1", "d@1", "e@1", "a@1"]
            (folder / "in.jsonl").write_text("".join(json.dumps({"id": f"s{i}", "text": f"t{i}", "encoder": e}) + "\n"
                                                     for i, e in enumerate(encoders)))
            records = [json.loads(line) for line in
                       run(folder, {}, folder / "views.npy", folder / "in.jsonl").splitlines()]
        self.assertEqual([r["decision"] for r in records], ["keep"] * 4 + ["refuse", "keep"])
        self.assertEqual(records[4]["reasons"], ["too_many_encoders"])
        self.assertEqual(records[5]["offset"], 4)


class Ranks(unittest.TestCase):
    def test_the_leverage_of_a_young_stream_does_not_hide_what_is_rare_later(self):
        """At the first score the basis rests on 2 d samples, and leverage is twice too high; with ranks by half_life alone the mean
        percentile of the second half is .36, and none is above .99."""
        n, d, random = 6000, 256, numpy.random.default_rng(3)
        spread = numpy.linspace(1, 0.2, d)
        anchors = random.standard_normal((n, d)) * spread
        views = numpy.stack([anchors, anchors + random.standard_normal((n, d)) * spread * 0.4], axis=1)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_lines(folder / "in.jsonl", n)
            numpy.save(folder / "views.npy", views.astype("f2"))
            settings = {"duplicate.enabled": "false", "influence.expert.warmup": 512}
            records = [json.loads(line) for line in run(folder, settings, folder / "views.npy", folder / "in.jsonl").splitlines()]
        ranks = [numpy.array([r["influence"]["percentile"][k] for r in records[n // 2:]]) for k in ("leverage", "self", "loss")]
        self.assertGreater(ranks[0].mean(), 0.45)
        self.assertGreater((ranks[0] >= 0.99).mean(), 0.002)
        for rank in ranks[1:]:
            self.assertAlmostEqual(rank.mean(), 0.5, delta=0.02)
            self.assertAlmostEqual((rank >= 0.99).mean(), 0.01, delta=0.005)


class Cores(unittest.TestCase):
    """The slot rule holds in every kernel that OpenBLAS may pick; so does agreement with float64."""

    def test_bits_do_not_depend_on_messages_on_any_core_type(self):
        program = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build" / "dev")) / "tests" / "influence_online_test"
        with open("/proc/cpuinfo") as file:
            flags = set(file.read().split())
        for core, needs in (("Haswell", "avx2"), ("SkylakeX", "avx512f"), ("Zen", "avx2"), ("Sandybridge", "avx")):
            if needs in flags:
                done = subprocess.run([program], capture_output=True, env={**os.environ, "OPENBLAS_CORETYPE": core})
                self.assertEqual(done.returncode, 0, f"{core}: {done.stdout[-1000:]}")


if __name__ == "__main__":
    unittest.main()
