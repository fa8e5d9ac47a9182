"""equivalence_test.py - the same samples get the same verdict records, byte for byte, whatever way they come.

The measure is one pass of `sluice filter --verdicts`; against it stand sockets with several batch
sizes and senders, feature workers, restarts, kills and a state that `filter` began and `run` goes on with."""

import functools
import json
import pathlib
import random
import subprocess
import tempfile

import pytest

from harness import DATA, QUICK, ROOT, SLUICE, Filter, Peer, annotation_pb, sample

SHORT = 1200 if QUICK else None  # samples a stream in quick mode
MIB = {"duplicate.exact.memory": "1MiB", "duplicate.text.memory": "4MiB"}


def pack(path):
    done = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.split(b"\n") if line]


def fixture(name):
    return pack(ROOT / "tests" / "data" / "text" / f"{name}.jsonl.zst")


def mixed(packs, seed, limit=None):
    """Texts of several packs in one random order, a third of them twice: unchanged or a little changed."""
    chance = random.Random(seed)
    objects = [{"id": o["id"], "source": o["source"], "text": o["text"]} for p in packs for o in p]
    chance.shuffle(objects)
    objects = objects[:limit]
    for i, o in enumerate(objects[: len(objects) // 3]):
        again = dict(o, id=f"again-{i}-{o['id']}"[:200])
        if i % 2:
            again["text"] = o["text"].replace(",", ";", 1) + " ."
        objects.append(again)
    return sorted(objects, key=lambda _: chance.random())


class Material:
    """One stream with its settings: as JSONL for the verbs, as samples for the wire."""

    def __init__(self, objects, **settings):
        self.objects = objects
        self.settings = MIB | {key.replace("__", "."): value for key, value in settings.items()}
        self.samples = [sample(o["id"], o["text"], o["source"]) for o in objects]

    def jsonl(self, begin=0, end=None):
        return "".join(json.dumps(o) + "\n" for o in self.objects[begin:end])

    def words(self):
        return [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]

    @functools.cached_property
    def verdicts(self):
        """The measure: the verdict records of one pass."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "v.jsonl"
            filter_pass(self, self.jsonl(), "--verdicts", path)
            return path.read_bytes()


def filter_pass(material, text, *more):
    done = subprocess.run([SLUICE, "filter", *material.words(), "-o", "/dev/null", *map(str, more)],
                          input=text.encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@functools.cache
def material(name):
    if name == "auto":
        packs = [fixture(n) for n in ("debian-descriptions", "tang-two-editions-zh", "manpages-zh", "spdx-licences")]
        return Material(mixed(packs, 1, SHORT))
    if name == "cjk":  # more rows than fit in memory: the oldest are evicted
        return Material(mixed([fixture("tang-two-editions-zh")], 2), duplicate__text__profile="cjk",
                        duplicate__text__memory="1MiB")
    if name == "records":  # a window so small that rows leave it
        return Material(mixed([fixture("debian-descriptions")], 3), duplicate__text__profile="records",
                        duplicate__window__samples=500)
    folder = DATA / "stream"
    if not folder.is_dir():
        pytest.skip(f"no public data at {folder} (SLUICE_DATA)")
    packs = [pack(path)[:4000] for path in sorted(folder.glob("*.jsonl.zst"))]
    return Material(mixed(packs, 4))


@pytest.fixture(params=["auto", "cjk"] if QUICK else ["auto", "cjk", "records", "data"])
def stream(request):
    return material(request.param)


def filter_of(folder, stream, **settings):
    return Filter(folder, **stream.settings, **settings)


# --- the two ways in ---

def send(one, stream, batch):
    """Through the verb."""
    done = subprocess.run([SLUICE, "send", "--to", one.ingest, "--producer", "p", "--batch", str(batch)],
                          input=stream.jsonl().encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def part_of(samples, begin, batch):
    """The next batch: `batch` samples, fewer where they are large."""
    end, size = begin, 0
    while end < len(samples) and end - begin < batch and (end == begin or size < 1 << 20):
        size += samples[end].ByteSize() + 8
        end += 1
    return samples[begin:end], size


def put(one, stream, batch, end=None, until=None, resent=0):
    """By hand, several batches under way; from where the filter says, `resent` samples earlier.

    Ends when `end` samples are acknowledged, or sooner, at `until`, with batches still under way."""
    samples = stream.samples[:end]
    with Peer(one.ingest, timeout_ms=60000) as peer:
        _, welcome, _ = peer.hello("p")
        acknowledged, window = welcome.next_sequence, welcome.max_in_flight_bytes
        sent = max(0, acknowledged - resent)
        under_way = []  # [sequence behind it, bytes]
        while acknowledged < len(samples):
            while sent < len(samples) and len(under_way) < 16:
                part, size = part_of(samples, sent, batch)
                if under_way and sum(each for _, each in under_way) + size > window:
                    break
                peer.put(sent, part)
                sent += len(part)
                under_way.append((sent, size))
            kind, answer, _ = peer.receive()
            assert kind == "ack", (kind, answer)
            acknowledged, window = answer.next_sequence, answer.max_in_flight_bytes
            under_way = [one for one in under_way if one[0] > acknowledged]
            if until is not None and acknowledged >= until:
                return


# --- the two ways out ---

def received(one):
    """The records as `sluice recv` writes them."""
    path = one.folder / "received.jsonl"
    done = subprocess.run([SLUICE, "recv", "--from", one.egress, "--all", "--offset", "0", "--verdicts", path],
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return path.read_bytes()


METHODS = annotation_pb.Duplicate.Method
DIFFERS = annotation_pb.Duplicate.Differs


def record_of(got):
    """The record of an annotated sample, read with the Python protobuf."""
    (note,) = got.annotations
    match = None
    if note.HasField("duplicate"):
        match = {"of": note.duplicate.of, "of_source": note.duplicate.of_source,
                 "similarity": pytest.approx(note.duplicate.similarity, abs=1e-6),
                 "method": METHODS.Name(note.duplicate.method).removeprefix("METHOD_").lower()}
        if note.duplicate.differs:
            match["differs"] = DIFFERS.Name(note.duplicate.differs).removeprefix("DIFFERS_").lower()
    decision = annotation_pb.Annotation.Decision.Name(note.decision).removeprefix("DECISION_").lower()
    return {"id": got.id, "source": got.source, "offset": note.offset, "decision": decision,
            "reasons": list(note.reasons), "weight": note.weight, "duplicate": match, "influence": None}


def tapped(one):
    with Peer(one.egress, timeout_ms=60000) as peer:
        return peer.read_all(every=True)


def check(one, stream):
    """Both ways out, the order and the sums; the state's digest."""
    assert received(one) == stream.verdicts
    samples = tapped(one)
    assert [s.id for s in samples] == [s.id for s in stream.samples]
    records = [json.loads(line) for line in stream.verdicts.split(b"\n") if line]
    assert [record_of(s) for s in samples] == records
    one.stop()
    one.state_command("verify")
    return one.state_command("digest")


@functools.cache
def digest_of(name):
    """The state's digest after one plain run."""
    stream = material(name)
    with tempfile.TemporaryDirectory() as folder, filter_of(folder, stream) as one:
        put(one, stream, 50)
        one.stop()
        return one.state_command("digest")


@pytest.fixture
def digest(request):
    return digest_of(request.node.callspec.params["stream"])


# --- tests ---

def test_filter_alone_says_enough_to_compare(stream):
    records = [json.loads(line) for line in stream.verdicts.split(b"\n") if line]
    assert len(records) == len(stream.samples)
    methods = [r["duplicate"]["method"] for r in records if r["duplicate"]]
    assert methods.count("exact") > len(records) // 100 and methods.count("text") > len(records) // 100
    assert sum(r["decision"] == "keep" for r in records) > len(records) // 4
    assert len({r["duplicate"]["similarity"] for r in records if r["duplicate"]}) > 5


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_of_the_verb_change_nothing(tmp_path, stream, digest, batch):
    with filter_of(tmp_path, stream) as one:
        send(one, stream, batch)
        assert check(one, stream) == digest


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_of_the_wire_change_nothing(tmp_path, stream, digest, batch):
    with filter_of(tmp_path, stream) as one:
        put(one, stream, batch)
        assert check(one, stream) == digest


@pytest.mark.parametrize("workers", [2, 4])
def test_feature_workers_change_nothing(tmp_path, stream, digest, workers):
    with filter_of(tmp_path, stream, workers=workers) as one:
        put(one, stream, 7)
        assert check(one, stream) == digest


def test_clean_restart_in_the_middle_changes_nothing(tmp_path, stream, digest):
    with filter_of(tmp_path, stream) as one:
        for part in (1, 2):
            put(one, stream, 19 * part, end=part * len(stream.samples) // 3, resent=30)
            one.stop()
            one.start()
        put(one, stream, 31, resent=100)
        assert check(one, stream) == digest


def test_kills_and_resends_change_nothing(tmp_path, stream, digest):
    with filter_of(tmp_path, stream, workers=2) as one:
        for part in (1, 2, 3):
            put(one, stream, 5 * part, until=part * len(stream.samples) // 4, resent=40)
            one.kill()
            one.start()
        put(one, stream, 23, resent=100)
        assert check(one, stream) == digest


def test_state_begun_by_filter_and_gone_on_by_run_changes_nothing(tmp_path, stream):
    half = len(stream.samples) // 2
    one = filter_of(tmp_path, stream)
    filter_pass(stream, stream.jsonl(0, half // 2), "--state", one.state)
    filter_pass(stream, stream.jsonl(half // 2, half), "--state", one.state)
    with one, Peer(one.ingest, timeout_ms=60000) as peer:
        _, welcome, _ = peer.hello("p")
        begin = welcome.next_sequence
        for at in range(half, len(stream.samples), 40):
            peer.put_acknowledged(begin + at - half, stream.samples[at:at + 40])
        check(one, stream)
