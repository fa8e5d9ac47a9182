"""reference_test.py - reference sets that are added to and removed from a running filter, or a state."""

import json
import subprocess

import numpy
import pytest

from harness import Filter, Peer, QUICK, SLUICE, sample_pb, session_pb
from http_test import Watched
from influence_stream_test import SAMPLES, SETTINGS

N = 1000 if QUICK else 1500
ADD_AT, KILL_AT = 700, 730  # a block ends at 768


def reference(*words, code=0):
    done = subprocess.run([SLUICE, "reference", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def names(*words):
    return [s["name"] for s in json.loads(reference("ls", "--json", *words))["references"]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two files of samples with views: 300 (more than one piece of 64 KiB), and 1,001."""
    folder = tmp_path_factory.mktemp("sets")

    def write(name, samples):
        with open(folder / name, "wb") as file:
            for one in samples:
                wire, size = one.SerializeToString(), len(one.SerializeToString())
                while size >= 0x80:
                    file.write(bytes([size & 0x7F | 0x80]))
                    size >>= 7
                file.write(bytes([size]) + wire)
        return folder / name
    long = [sample_pb.Sample(id=f"r{i}", payload=b"x" * 200, views=SAMPLES[i % len(SAMPLES)].views) for i in range(1001)]
    return {"good": write("good.pb", long[:300]), "other": write("other.pb", long[300:310]), "long": write("long.pb", long)}


def put(running, first, end):
    with Peer(running.ingest, timeout_ms=30000) as producer:
        producer.hello("p")
        for at in range(first, end, 100):
            producer.put_acknowledged(at, SAMPLES[at:min(at + 100, end)])


def annotations(folder, good, deaths=()):
    with Filter(folder, **SETTINGS) as running:
        for first, end in ((0, ADD_AT), (ADD_AT, KILL_AT), (KILL_AT, N)):
            put(running, first, end)
            if end == ADD_AT:
                reference("add", "late", good, "--from", running.egress)
            if end in deaths:
                running.kill()
                running.start()
        with Peer(running.egress, timeout_ms=30000) as consumer:
            got = consumer.read_all(every=True)
        running.stop()
    return [s.annotations[0] for s in got]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, sets):
    return annotations(tmp_path_factory.mktemp("whole"), sets["good"])


def test_added_set_scores_from_the_next_block_on(whole):
    for offset, annotation in enumerate(whole):
        assert ("late" in annotation.influence.toward) == (offset >= ADD_AT), offset
        if offset >= ADD_AT:
            assert annotation.influence.toward["late"].HasField("value") == (offset >= 768), offset
    # A percentile needs 64 values, frozen at the end of a block.
    assert whole[-1].influence.percentile.toward["late"].HasField("value") == (N > 1024 + 64)
    assert whole[-1].influence.toward["first"].HasField("value")


@pytest.mark.parametrize("deaths", [(ADD_AT,), (KILL_AT,), (ADD_AT, KILL_AT)])
def test_death_behind_an_added_set_changes_no_bit(whole, tmp_path, sets, deaths):
    assert annotations(tmp_path, sets["good"], deaths) == whole


def test_sets_are_listed_bounded_and_removed(tmp_path, sets):
    with Filter(tmp_path, **SETTINGS) as running:
        at = ("--from", running.egress)
        put(running, 0, 600)
        assert "first" in reference("ls", *at) and "200 samples" in reference("ls", *at)
        reference("add", "a", sets["good"], *at)
        reference("add", "a", sets["good"], *at)  # the same once more, as after a lost answer
        assert "another set" in reference("add", "a", sets["other"], *at, code=1)
        assert "another set" in reference("add", "first", sets["other"], *at, code=1)
        assert "a name of 1 to 63" in reference("add", "a b", sets["other"], *at, code=1)
        assert "more than 1000 samples" in reference("add", "b", sets["long"], *at, code=78)
        for i in range(6):
            reference("add", f"n{i}", sets["other"], *at)
        assert "8 sets" in reference("add", "ninth", sets["other"], *at, code=1)
        reference("add", "n5", sets["other"], *at)  # the eighth once more: it is there already, full or not
        assert "another set" in reference("add", "n5", sets["good"], *at, code=1)
        assert len(names(*at)) == 8
        reference("rm", "n3", *at)
        reference("rm", "first", *at)
        assert "no reference" in reference("rm", "n3", *at, code=1)
        running.kill()
        running.start()
        assert names(*at) == ["a", "n0", "n1", "n2", "n4", "n5"]
        reference("add", "again", sets["other"], *at)  # takes the place of the first that is gone
        put(running, 600, 900)
        with Peer(running.egress, timeout_ms=30000) as consumer:
            last = consumer.read_all(every=True)[-1].annotations[0].influence
        assert sorted(last.toward) == ["a", "again", "n0", "n1", "n2", "n4", "n5"]
        assert all(score.HasField("value") for score in last.toward.values())
        running.stop()


def test_page_shows_scores_under_the_names_of_their_sets(tmp_path, sets):
    """A record has only the sets of its time, packed: where one is gone, those behind it move up."""
    with Watched(tmp_path, **SETTINGS) as running:
        at = ("--from", running.egress)
        put(running, 0, 600)
        reference("add", "late", sets["good"], *at)
        put(running, 600, 900)
        reference("rm", "first", *at)
        put(running, 900, 1000)
        running.wait_for("/api/v1/recent", lambda got: got["offset"] and got["offset"][0] == 999)
        for name, newest in (("first", 899), ("late", 999)):
            top = running.json(f"/api/v1/top?by=toward.{name}&n=50")
            assert top["scored"] > 50 and len(top["samples"]) == 50, name
            for row in top["samples"]:
                assert row["value"] == pytest.approx(row["sample"]["record"]["influence"]["toward"][name], rel=1e-6)
            recent = running.json("/api/v1/recent")
            shown = [offset for offset, value in zip(recent["offset"], recent[f"toward.{name}"]) if value is not None]
            assert shown[0] == newest, name
        assert running.ask("/api/v1/top?by=toward.nobody").status == 400
        running.stop()


def test_state_of_a_stopped_filter_takes_a_set(tmp_path, sets):
    with Filter(tmp_path, **SETTINGS) as running:
        words = [word for key, value in running.settings.items() for word in ("--set", f"{key}={value}")]
        put(running, 0, 600)
        assert "writes it" in reference("add", "x", sets["good"], "--state", running.state, *words, code=1)
        running.stop()
        reference("add", "x", sets["good"], "--state", running.state, *words)
        assert names("--state", running.state, *words) == ["first", "x"]
        running.start()
        assert names("--from", running.egress) == ["first", "x"]
        running.stop()


def test_looking_at_no_state_makes_none(tmp_path):
    for words in (("ls",), ("rm", "x")):
        assert "there is no such directory" in reference(*words, "--state", tmp_path / "none", code=78)
    assert not (tmp_path / "none").exists()


def test_pieces_that_do_not_fit_are_refused(tmp_path):
    add = session_pb.Reference.ADD
    with Filter(tmp_path, **SETTINGS) as running:
        with Peer(running.egress, timeout_ms=30000) as client:
            for request, body in ((dict(action=add, name="x", at=5), b"y"), (dict(action=add, name="x"), None),
                                  (dict(action=add, name="x"), b"no batch"), (dict(action=add, name="x" * 64), b"y")):
                assert client.ask(body, reference=session_pb.Reference(**request))[0] == "error", request
            kind, answer, _ = client.ask(reference=session_pb.Reference())
            assert kind == "references" and [s.name for s in answer.sets] == ["first"]
        running.stop()
