"""bench_test.py - sluice bench measures what it says, and leaves nothing behind. No bound on any time."""

import json
import os
import subprocess

from harness import SLUICE


def bench(*words, code=0, **environment):
    done = subprocess.run([SLUICE, "bench", *map(str, words)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment})
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def test_bench_json_has_every_figure(tmp_path):
    found = json.loads(bench("--quick", "--json", "--state", tmp_path))
    assert found["version"] and found["cores"] > 0
    assert set(found["kernels"].values()) & {"AVX-512", "AVX2", "portable"} and found["kernels"]["openblas"]
    assert list(found["streams"]) == ["texts", "images", "embeddings", "influence"]
    for name, stream in found["streams"].items():
        assert stream["samples"] > 0 and stream["dropped"] == 0, name  # all of them new: the index was really asked
        assert stream["prepared_per_s"] > 0 and stream["prepared_mb_per_s"] > 0 and stream["judged_per_s"] > 0, name
    assert found["index"]["rows"] == 20000 and found["index"]["probes_per_s"] > 0
    spool = found["spool"]
    assert spool["folder"] == str(tmp_path) and spool["samples_per_commit"] == 256
    assert spool["commits_per_s"] > 0 and spool["fsync_ms"] >= 0
    assert 0 < spool["commit_ms"] <= spool["commit_ms_max"]
    assert list(tmp_path.iterdir()) == []  # what it made there is gone


def test_bench_leaves_a_state_alone_and_prints_a_table(tmp_path):
    subprocess.run([SLUICE, "filter", "--state", tmp_path], input='{"text": "a"}\n', text=True, check=True, capture_output=True)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    table = bench("--quick", TMPDIR=str(tmp_path))
    for word in ("texts of 1 KiB", "JPEGs", "embeddings", "influence", "probes a second", "commits", f"in {tmp_path}"):
        assert word in table
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_bench_with_a_folder_that_is_not_there_names_it(tmp_path):
    assert str(tmp_path / "none") in bench("--quick", "--state", tmp_path / "none", code=1)


def test_bench_with_an_unknown_option_is_usage():
    assert "usage: sluice bench" in bench("--fast", code=64)
