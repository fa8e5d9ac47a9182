"""state_format_test.py - states written by earlier versions are still read: tests/data/state-format-N."""

import shutil
import subprocess

import pytest

from harness import ROOT, SLUICE

# What `sluice state digest` printed when the state was made, by `sluice filter --state` over 40 package descriptions.
STATES = {"state-format-1": "2ea0ed7c0f081fd1e5665024db4e9e95"}


@pytest.mark.parametrize("name,digest", STATES.items())
def test_state_of_an_earlier_format_is_sound_and_says_the_same(tmp_path, name, digest):
    state = tmp_path / name
    shutil.copytree(ROOT / "tests" / "data" / name, state)
    for verb, expected in (("verify", "is sound"), ("digest", digest)):
        done = subprocess.run([SLUICE, "state", verb, "--state", state], capture_output=True, text=True)
        assert done.returncode == 0 and expected in done.stdout, (verb, done.stdout, done.stderr)
