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


@pytest.mark.parametrize("name", STATES)
def test_state_without_the_keys_of_later_versions_goes_on_with_their_defaults(tmp_path, name):
    """The state was made before keys that came since: their defaults are what it was made with. Another value of a key
    that it has is refused (tests/unit/spool_environment_test.c: of one that it has not, too)."""
    state = tmp_path / name
    shutil.copytree(ROOT / "tests" / "data" / name, state)
    command = [SLUICE, "filter", "--state", state, "-o", "/dev/null", "--json", "-"]
    line = '{"id": "new", "text": "a text of its own"}\n'
    for more, code in ((["--set", "duplicate.image.min_quality=49"], 78), ([], 0)):
        done = subprocess.run([*command, *more], input=line, capture_output=True, text=True)
        assert done.returncode == code, (more, done.stdout, done.stderr)
        assert code == 0 or "duplicate.image.min_quality: " in done.stderr and "says 49" in done.stderr
    done = subprocess.run([SLUICE, "state", "verify", "--state", state], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
