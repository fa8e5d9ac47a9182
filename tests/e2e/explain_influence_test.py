"""explain_influence_test.py - what `sluice explain` says about influence, in words."""

import json
import subprocess

import numpy
import pytest

from harness import SLUICE

N, D = 1200, 6
SETTINGS = ["--set", "influence.references=[{name: base, source: a, samples: 50}]", "--set", "influence.expert.warmup=512"]


def sluice(*words):
    done = subprocess.run([SLUICE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder, k):
    """A state and its verdicts; sample 'odd' points where nothing else does, and its views disagree."""
    random = numpy.random.default_rng(7)
    anchors = random.normal(size=(N, 1, D)) * [1, .6, .4, .3, .2, .1] + [2, 0, 0, 0, 0, 0]
    views = anchors + numpy.concatenate([numpy.zeros((N, 1, D)), 0.2 * random.normal(size=(N, k - 1, D))], 1)
    views[1100] = [[0, 0, 0, 0, .3, 3]] + [[0, 0, 2, 0, .3, 3]] * (k - 1)
    numpy.save(folder / "views.npy", views.astype("f4"))
    with open(folder / "in.jsonl", "w") as file:
        for i in range(N):
            identity = {1100: "odd", 1000: "twin", 1150: "copy"}.get(i, f"i{i}")
            text = "these words were there before, all of them" if i in (1000, 1150) else f"text {i} of {i * i}"
            file.write(json.dumps({"id": identity, "text": text, "source": "ab"[i % 2], "encoder": "e@1"}) + "\n")
    sluice("filter", *SETTINGS, "--state", folder / "state", "--views", folder / "views.npy", "-o", "/dev/null",
           "--verdicts", folder / "verdicts", folder / "in.jsonl")
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return make(tmp_path_factory.mktemp("three"), 3)


def test_outlier_is_explained_with_its_place_and_no_advice_to_drop(three):
    said = sluice("explain", "odd", "--state", three / "state")
    for words in ("influence   live", "higher than 99", "far from what the stream has shown", "by itself no reason to drop",
                  "'base' is the first 50 samples of source 'a'", "the most similar kept one before it", "reliable    0."):
        assert words in said, (words, said)
    assert ("a proponent: without it the loss of the reference set would be higher" in said) != (
        "an opponent: without it the loss of the reference set would be lower" in said)


def test_duplicate_names_its_representative_instead_of_a_neighbour(three):
    said = sluice("explain", "copy", "--state", three / "state")
    assert "of 'twin'" in said and "nearest" not in said and "influence   live" in said


def test_early_sample_says_that_too_little_was_known(three):
    said = sluice("explain", "i9", "--state", three / "state")
    assert "warming: too little of this encoder was known, so only its loss" in said
    assert "toward" not in said and "leverage" not in said


def test_two_views_say_that_reliability_cannot_be_known(tmp_path):
    folder = make(tmp_path, 2)
    said = sluice("explain", "i1199", "--verdicts", folder / "verdicts")
    assert "unknown: with two views nobody can tell" in said and "two augmentations or more" in said
    assert "is the first 50" not in said  # a verdict file does not know the configuration


def test_json_is_the_record_as_it_was(three):
    said = json.loads(sluice("explain", "odd", "--state", three / "state", "--json"))
    assert said == next(r for r in map(json.loads, open(three / "verdicts")) if r["id"] == "odd")


def test_sample_without_views_says_so(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": "x", "text": "a few words"}\n')
    sluice("filter", "--state", tmp_path / "state", "-o", "/dev/null", tmp_path / "in.jsonl")
    assert "none: it came without two views" in sluice("explain", "x", "--state", tmp_path / "state")
