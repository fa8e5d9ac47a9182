"""state_format_test.py - states written by earlier versions are still read: tests/data/state-format-N."""

import json
import shutil
import subprocess

import numpy
import pytest

from harness import ROOT, SLUICE

# What `sluice state digest` printed when the state was made, by `sluice filter --state` over 40 package descriptions.
# The others: by the last versions with checkpoints of format 2, 3 and 4, over 600 samples with views (3, 4: in three
# groups, of which format 3 holds counts alone).
STATES = {"state-format-1": "2ea0ed7c0f081fd1e5665024db4e9e95", "state-checkpoint-2": "2d2ba56e52692d2d0362b00b31c5b0f6",
          "state-checkpoint-3": "cdaca9a254c54ab97376e9df1f28041f", "state-checkpoint-4": "cdaca9a254c54ab97376e9df1f28041f"}
VIEWED = ["duplicate.exact.memory=1MiB", "duplicate.text.memory=1MiB", "duplicate.image.memory=1MiB",
          "influence.references=[{name: r, source: a, samples: 50}]"]
GROUPED = [*VIEWED, "influence.expert.warmup=256", "fairness={group_by: attributes.region, min_samples: 50}"]
MADE_WITH = {name: [word for value in values for word in ("--set", value)] for name, values in {
    "state-format-1": [], "state-checkpoint-2": VIEWED, "state-checkpoint-3": GROUPED, "state-checkpoint-4": GROUPED}.items()}


@pytest.mark.parametrize("name,digest", STATES.items())
def test_state_of_an_earlier_format_is_sound_and_says_the_same(tmp_path, name, digest):
    state = tmp_path / name
    shutil.copytree(ROOT / "tests" / "data" / name, state)
    for verb, expected in (("verify", "is sound"), ("digest", digest)):
        done = subprocess.run([SLUICE, "state", verb, "--state", state], capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stdout, (verb, done.stdout, done.stderr)


@pytest.mark.parametrize("name", ["state-checkpoint-2", "state-checkpoint-3", "state-checkpoint-4"])
def test_influence_of_an_earlier_checkpoint_goes_on(tmp_path, name):
    shutil.copytree(ROOT / "tests" / "data" / name, tmp_path / "state")
    words = ["--state", tmp_path / "state", *MADE_WITH[name]]
    done = subprocess.run([SLUICE, "reference", "ls", *words], capture_output=True, text=True)
    assert done.stdout.split() == ["r", "source", "50", "samples"], (done.stdout, done.stderr)
    numpy.save(tmp_path / "views.npy", numpy.random.default_rng(1).normal(size=(20, 2, 4)).astype("f4"))
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": f"x{i}", "text": f"x {i}", "encoder": "e@1"}) + "\n"
                                               for i in range(20)))
    done = subprocess.run([SLUICE, "filter", *words, "--views", tmp_path / "views.npy", "-o", "/dev/null", "--verdicts",
                           tmp_path / "verdicts", tmp_path / "in.jsonl"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = [json.loads(line)["influence"] for line in open(tmp_path / "verdicts")]
    assert all(s["state"] == "live" and s["toward"]["r"] is not None for s in scores)


@pytest.mark.parametrize("name", ["state-checkpoint-3", "state-checkpoint-4"])
def test_groups_of_an_earlier_checkpoint_go_on(tmp_path, name):
    """Format 3 knew how many were received and dropped: these go on, and all else of a group begins now."""
    state, old = tmp_path / "state", name == "state-checkpoint-3"
    shutil.copytree(ROOT / "tests" / "data" / name, state)
    text = "a text that comes twice, and has words enough to be one"
    samples = [{"id": f"x{i}", "text": text, "source": "b", "region": "north"} for i in range(2)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    done = subprocess.run([SLUICE, "filter", "--state", state, *MADE_WITH[name], "-o", "/dev/null", tmp_path / "in.jsonl"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([SLUICE, "report", "--state", state, "--json"], capture_output=True, text=True)
    groups = json.loads(done.stdout)["portfolio"]["groups"]
    assert groups["by"] == "attributes.region"
    rows = {row["group"]: row for row in groups["rows"]}
    assert {name: (row["received"], row["dropped"], row["duplicates"]) for name, row in rows.items()} == {
        "north": (202, 41, 1 if old else 41), "south": (200, 36, 0 if old else 36), "(none)": (200, 37, 0 if old else 37)}
    cells = {(cell["group"], cell["of"]): cell["count"] for cell in groups["repeats"]}
    assert cells["north", "north"] == 1 if old else sum(cells.values()) == 114


@pytest.mark.parametrize("name", STATES)
def test_state_without_the_keys_of_later_versions_goes_on_with_their_defaults(tmp_path, name):
    """The state was made before keys that came since: their defaults are what it was made with. Another value of a key
    that it has is refused (tests/unit/spool_environment_test.c: of one that it has not, too)."""
    state = tmp_path / name
    shutil.copytree(ROOT / "tests" / "data" / name, state)
    command = [SLUICE, "filter", "--state", state, *MADE_WITH[name], "-o", "/dev/null", "--json", "-"]
    line = '{"id": "new", "text": "a text of its own"}\n'
    for more, code in ((["--set", "duplicate.image.min_quality=49"], 78), ([], 0)):
        done = subprocess.run([*command, *more], input=line, capture_output=True, text=True)
        assert done.returncode == code, (more, done.stdout, done.stderr)
        assert code == 0 or "duplicate.image.min_quality: " in done.stderr and "says 49" in done.stderr
    done = subprocess.run([SLUICE, "state", "verify", "--state", state], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
