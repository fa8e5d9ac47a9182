"""bad_input_test.py - what is malformed, oversized, hostile or in the way: a clear word, nothing lost, nothing changed.

`run` and the verbs are tried from outside. What one sample may look like is in filter_test.py; who
may speak and in which order is in run_test.py."""

import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import socket
import struct
import subprocess
import time

import pytest
import zmq

from harness import QUICK, SLUICE, Batch, Filter, Peer, Sample, batch_of, error_name, free_port, sample, session_pb

MIB = 1 << 20


@pytest.fixture
def running(tmp_path):
    with Filter(tmp_path) as one:
        yield one


def words(n, start=0):
    return " ".join(f"word{i}" for i in range(start, start + n))


def texts(n, name="i", start=0):
    return [sample(f"{name}{k}", words(30, 100 * k)) for k in range(start, start + n)]


def sluice(*args, code=0, stdin=b"", **more):
    done = subprocess.run([SLUICE, *map(str, args)], input=stdin, capture_output=True, timeout=120, **more)
    assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr.decode()[-2000:])
    return done


def field(number, data):
    """One length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def still_serves(one, name="witness"):
    """A newcomer is served, from hello to the sample in the log."""
    with Peer(one.ingest) as producer, Peer(one.egress) as consumer:
        kind, welcome, _ = producer.hello(name)
        assert kind == "welcome", welcome
        fresh = f"{name}{welcome.next_sequence}"
        producer.put_acknowledged(welcome.next_sequence, [sample(fresh, f"{fresh} is one more text")])
        kind, records, _ = consumer.fetch(offset=0)
        assert kind == "records"
    return one.process.poll() is None


def expect_error(peer, code, *parts):
    kind, error, _ = peer.receive()
    assert kind == "error" and error_name(error) == code, (kind, error)
    for part in parts:
        assert part in error.text, error.text
    return error


@contextlib.contextmanager
def unchanged(one):
    """Nothing of the durable state but counts differs after the block."""
    before = one.state_command("digest")
    yield
    assert one.state_command("digest") == before


# --- memory of the running filter, in bytes ---

def resident(one, key="VmRSS"):
    for line in pathlib.Path(f"/proc/{one.process.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


@contextlib.contextmanager
def memory_within(one, limit):
    """The peak of the block lies at most `limit` above what was there before. Sanitizers keep what is freed."""
    if b"libasan" in pathlib.Path(f"/proc/{one.process.pid}/maps").read_bytes() or \
            b"libtsan" in pathlib.Path(f"/proc/{one.process.pid}/maps").read_bytes():
        yield
        return
    pathlib.Path(f"/proc/{one.process.pid}/clear_refs").write_text("5")
    before = resident(one)
    yield
    grown = resident(one, "VmHWM") - before
    assert grown <= limit, f"grew by {grown / MIB:.1f} MiB, allowed {limit / MIB:.1f}"


# --- bytes that are no messages ---

def test_random_frames_are_answered_on_both_ports_and_change_nothing(running):
    chance = random.Random(7)
    still_serves(running)
    hello = session_pb.ToFilter(hello=session_pb.Hello(wire=1, producer="p")).SerializeToString()
    with unchanged(running), Peer(running.ingest) as ingest, Peer(running.egress) as egress:
        for i in range(300):
            frame = bytearray(chance.randbytes(chance.choice([1, 2, 10, 100, 5000])))
            if i % 3 == 0:  # nearly a message
                frame = bytearray(hello)
                frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            frames = [bytes(frame)] + [chance.randbytes(50)] * chance.randrange(4)
            for peer in (ingest, egress):
                peer.socket.send_multipart(frames)
                peer.receive()  # whatever it is, it is an answer


def test_what_does_not_speak_zeromq_is_dropped(running):
    still_serves(running)
    with unchanged(running):
        for endpoint in (running.ingest, running.egress):
            address = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
            for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, random.Random(3).randbytes(100000),
                         b"\xff" + b"\x00" * 8 + b"\x7f", b""):
                with socket.create_connection(address) as stranger, contextlib.suppress(OSError):
                    stranger.sendall(data)
                    stranger.settimeout(0.1)
                    stranger.recv(100)
    assert still_serves(running)


def test_every_prefix_of_a_batch_is_refused_and_changes_nothing(running):
    samples = [sample("one", "first text", attributes={"k": "v"}), sample("two", "second text", cost=1.5)]
    body = batch_of(samples)
    with Peer(running.ingest) as producer:
        producer.hello("p")
        with unchanged(running):
            for size in range(len(body)):
                producer.put(0, [], count=2, body=body[:size])
                expect_error(producer, "MALFORMED")
            for at in range(len(body)):  # and a byte too many, or another
                producer.put(0, [], count=3, body=body[:at] + b"\xff" + body[at:])
                expect_error(producer, "MALFORMED")
        assert producer.put_acknowledged(0, samples).kept == 2


@pytest.mark.parametrize("number", [7, 9, 15, 4, 2000])
def test_amplifiers_cost_a_few_times_their_size(running, number):
    """4 MiB of empty fields: naive parsing takes up to 63 times that."""
    size = 4 * MIB - 4096
    piece = field(number, b"")
    bomb = field(1, field(1, b"bomb") + piece * (size // len(piece)))
    with Peer(running.ingest, timeout_ms=60000) as producer:
        producer.hello("p")
        producer.put_acknowledged(0, texts(20))
        sequence = 20
        with memory_within(running, 8 * 4 * MIB):
            for _ in range(3):
                producer.put(sequence, [], count=1, body=bomb)
                kind, answer, _ = producer.receive()
                if kind == "ack":
                    assert answer.refused == 1 and answer.faults[0].text
                    sequence += 1
                else:
                    assert error_name(answer) in ("MALFORMED", "TOO_LARGE") and answer.text
    state = json.loads(running.state_command("ls", "--json"))
    assert (state["next_offset"], state["rows"]) == (20, 20)


@pytest.mark.parametrize("piece", [b"\n\x00", b"\xf8\x07\x00", b"\n\x02\n\x00"])
def test_batches_of_more_samples_or_fields_than_allowed_are_refused(running, piece):
    body = piece * (2 * MIB // len(piece))
    with Peer(running.ingest, timeout_ms=60000) as producer:
        producer.hello("p")
        with unchanged(running), memory_within(running, 8 * len(body)):
            producer.put(0, [], count=len(body) // len(piece), body=body)
            kind, error, _ = producer.receive()
            assert kind == "error" and error_name(error) in ("MALFORMED", "TOO_LARGE") and error.text, error
        assert still_serves(running)


# --- samples that break a rule ---

BAD_SAMPLES = {
    "id with NUL": field(1, b"a\0b") + field(4, b"text"),
    "id not UTF-8": field(1, b"a\xff") + field(4, b"text"),
    "id cut inside a character": field(1, "é".encode()[:1]) + field(4, b"text"),
    "id of a surrogate": field(1, b"\xed\xa0\x80") + field(4, b"text"),
    "id too long": field(1, b"x" * 257) + field(4, b"text"),
    "no id": field(4, b"text"),
    "source with NUL": field(1, b"a") + field(2, b"s\0") + field(4, b"text"),
    "source not UTF-8": field(1, b"a") + field(2, b"\xc0\x80") + field(4, b"text"),
    "source too long": field(1, b"a") + field(2, b"s" * 257) + field(4, b"text"),
    "text not UTF-8": field(1, b"a") + field(4, b"text \xfe"),
    "text too large": field(1, b"a") + field(4, b"y" * (MIB + 1)),
    "attribute with NUL": field(1, b"a") + field(4, b"text") + field(9, field(1, b"k") + field(2, b"v\0")),
    "attribute not UTF-8": field(1, b"a") + field(4, b"text") + field(9, field(1, b"\xff") + field(2, b"v")),
    "too many attributes": field(1, b"a") + field(4, b"text") + b"".join(
        field(9, field(1, b"k%d" % k) + field(2, b"v")) for k in range(65)),
    "cost not finite": field(1, b"a") + field(4, b"text") + varint(10 << 3 | 1) + struct.pack("<d", float("nan")),
}


def test_bad_samples_are_refused_one_by_one_with_their_reason(running):
    good = texts(2)
    with Peer(running.ingest) as producer:
        producer.hello("p")
        producer.put_acknowledged(0, good[:1])
        body = b"".join(field(1, raw) for raw in BAD_SAMPLES.values()) + field(1, good[1].SerializeToString())
        n = len(BAD_SAMPLES)
        producer.put(1, [], count=n + 1, body=body)
        _, ack, _ = producer.receive()
    assert (ack.kept, ack.refused) == (1, n)
    assert [fault.sequence for fault in ack.faults] == list(range(1, n + 1))
    for name, fault in zip(BAD_SAMPLES, ack.faults):
        assert fault.reason and " " not in fault.reason and len(fault.text) > 10, (name, fault)
    said = dict(zip(BAD_SAMPLES, ack.faults))
    assert "NUL" in said["id with NUL"].text and "UTF-8" in said["id not UTF-8"].text
    letters = [json.loads(line) for line in running.state_command("dead", "--json").splitlines()]
    assert [letter["reason"] for letter in letters] == [fault.reason for fault in ack.faults]
    state = json.loads(running.state_command("ls", "--json"))
    assert (state["next_offset"], state["rows"]) == (2, 2)


def test_what_a_refused_sample_holds_leaves_no_trace_in_the_state(tmp_path):
    """Other refused contents, in other places between the good ones: the same digest."""
    digests = set()
    good = texts(40)
    raws = list(BAD_SAMPLES.values())
    for way in range(3):
        folder = tmp_path / str(way)
        folder.mkdir()
        chance = random.Random(way)
        with Filter(folder) as one, Peer(one.ingest) as producer:
            producer.hello("p")
            places = sorted(chance.sample(range(40), 10))
            encoded = [s.SerializeToString() for s in good]
            for place in reversed(places):
                encoded.insert(place, chance.choice(raws))
            for begin in range(0, 50, 10):
                producer.put_acknowledged(begin, [None] * 10, body=b"".join(field(1, e) for e in encoded[begin:begin + 10]))
            one.stop()
            digests.add(one.state_command("digest"))
    assert len(digests) == 1


def test_empty_texts_are_samples_like_others(running):
    lines = b'{"id":"a","text":""}\n{"id":"b","text":""}\n{"id":"c","text":" \\n\\t"}\n{"id":"d","text":"\\u3000"}\n'
    records = sluice("filter", "-o", "/dev/null", "--verdicts", "-", stdin=lines).stdout
    assert [json.loads(line)["offset"] for line in records.splitlines()] == [0, 1, 2, 3]
    sluice("send", "--to", running.ingest, stdin=lines)
    received = running.folder / "v.jsonl"
    sluice("recv", "--from", running.egress, "--all", "--verdicts", received)
    assert received.read_bytes() == records


def test_an_empty_sample_that_is_sent_again_is_redelivered(running):
    lines = b'{"id":"a","text":""}\n{"id":"b","text":""}\n{"id":"a","text":""}\n'
    records = [json.loads(line) for line in sluice("filter", "-o", "/dev/null", "--verdicts", "-", stdin=lines).stdout.splitlines()]
    assert [r["offset"] for r in records] == [0, 1, 0] and records[2] == records[0]
    for redelivered in (1, 3):  # the second time by a producer that lost its count
        counts = json.loads(sluice("send", "--to", running.ingest, "--json", stdin=lines).stdout)
        assert (counts["redelivered"], counts["dropped"]) == (redelivered, 0)


# --- 256 MiB ---

def test_frame_of_256_mib_closes_the_connection_and_others_are_served(running):
    still_serves(running)
    size = 256 * MIB
    with unchanged(running), memory_within(running, 96 * MIB):
        for endpoint in (running.ingest, running.egress):
            with Peer(endpoint, timeout_ms=1500) as giant:
                giant.socket.send_multipart([b"", bytes(size)], copy=False)
                with pytest.raises(zmq.Again):  # nobody takes it: no answer
                    giant.receive()
    assert still_serves(running)


def test_announced_exabytes_are_not_reserved(running):
    """A ZMTP frame that says it has 2^62 bytes."""
    greeting = b"\xff" + b"\x00" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + b"\0" * 31
    ready = b"\x05READY" + b"\x0bSocket-Type" + b"\x00\x00\x00\x06DEALER"
    address = ("127.0.0.1", int(running.ingest.rsplit(":", 1)[1]))
    with memory_within(running, 64 * MIB), socket.create_connection(address, timeout=5) as liar:
        liar.sendall(greeting + b"\x04" + bytes([len(ready)]) + ready + b"\x02" + struct.pack(">Q", 1 << 62))
        received = b"x"
        while received:  # until it hangs up
            try:
                received = liar.recv(4096)
            except ConnectionResetError:
                break
    assert still_serves(running)


def test_text_of_256_mib_is_refused_by_the_verbs(running, tmp_path):
    good = json.dumps({"id": "good", "text": words(30)}).encode() + b"\n"
    path = tmp_path / "giant.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"id": "giant", "text": "')
        for _ in range(256):
            file.write(b"x" * MIB)
        file.write(b'"}\n' + good)
    done = sluice("send", "--to", running.ingest, "--json", path)
    counts = json.loads(done.stdout)
    assert (counts["kept"], counts["acknowledged"]) == (1, 1)
    assert b"giant.jsonl:1" in done.stderr and b"line_too_long" in done.stderr
    verdicts = sluice("filter", "-o", "/dev/null", "--verdicts", "-", path).stdout.splitlines()
    assert [json.loads(v)["decision"] for v in verdicts] == ["refuse", "keep"]


# --- files ---

def test_wrong_json_types_are_named_by_send_and_the_rest_arrives(running):
    lines = [b'{"id":"a","text":1}', b'{"id":["x"],"text":"t"}', b'{"id":"n\\u0000","text":"t"}', b"[]", b"{", b"nonsense",
             b'{"id":"s","source":[7],"text":"t"}', b'{"id":"ok","text":"the good one"}']
    done = sluice("send", "--to", running.ingest, "--json", stdin=b"\n".join(lines) + b"\n")
    assert json.loads(done.stdout)["kept"] == 1
    for line in range(1, 8):
        assert f":{line} refused".encode() in done.stderr or f"sample {line}".encode() in done.stderr or \
            b"id_has_nul" in done.stderr, (line, done.stderr.decode())
    assert [s.id for s in Peer(running.egress).read_all(every=True)] == ["ok"]


def test_broken_zst_sends_what_came_before_and_names_the_file(running, tmp_path):
    lines = b"".join(json.dumps({"id": f"i{k}", "text": words(40, 977 * k)}).encode() + b"\n" for k in range(3000))
    packed = subprocess.run(["zstd", "-1c"], input=lines, capture_output=True, check=True).stdout
    middle = len(packed) // 2
    path = tmp_path / "broken.jsonl.zst"
    path.write_bytes(packed[:middle] + b"\xff" * 500 + packed[middle + 500:])
    done = sluice("send", "--to", running.ingest, "--producer", "damaged", path, code=1)
    assert b"broken.jsonl.zst: broken at byte" in done.stderr, done.stderr
    path.write_bytes(packed[:middle])
    done = sluice("send", "--to", running.ingest, "--producer", "cut", path, code=1)
    assert b"broken.jsonl.zst: broken at byte" in done.stderr, done.stderr
    (count,) = [row["next_sequence"] for row in json.loads(running.state_command("ls", "--json"))["producers"]
                if row["name"] == "cut"]
    assert 100 < count < 3000
    path.write_bytes(packed)  # mended: goes on where it stopped
    counts = json.loads(sluice("send", "--to", running.ingest, "--producer", "cut", "--json", path).stdout)
    assert (counts["skipped"], counts["sent"]) == (count, 3000 - count)
    running.state_command("verify")


@pytest.mark.parametrize("verb", ["run", "filter", "check", "state"])
def test_configuration_with_three_errors_names_all_three(tmp_path, verb):
    (tmp_path / "bad.yaml").write_text("workers: 65\nduplicate:\n  text: {memroy: 1GiB}\nspool:\n  max_bytes: 5 parsecs\n")
    command = ["state", "ls"] if verb == "state" else [verb]
    done = sluice(*command, "-c", "bad.yaml", code=78, cwd=tmp_path)
    said = done.stderr.decode()
    for part in ("bad.yaml:1:10: workers", "bad.yaml:3:10: duplicate.text.memroy", "did you mean duplicate.text.memory",
                 "bad.yaml:5:14: spool.max_bytes"):
        assert part in said, said
    assert not (tmp_path / "sluice-state").exists()


# --- the state folder ---

def refused_start(folder, code, *parts, **settings):
    """`run` ends with `code` and one line that has `parts`."""
    done = subprocess.run(Filter(folder, **settings).command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for part in parts:
        assert str(part) in done.stderr, done.stderr
    return done.stderr


def test_full_disk_ends_with_one_clear_line_and_loses_nothing(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", disk], capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        one = Filter(tmp_path, state=disk / "state")
        one.state = disk / "state"
        with one:
            acknowledged = fill_until_it_ends(one)
            assert one.process.wait(60) == 1
            said = [line for line in one.text().splitlines() if "SPOOL-COMMIT" in line]
            assert len(said) == 1 and str(one.state) in said[0] and "0 KiB are free on its disk" in said[0], one.text()
            refused = Filter(tmp_path, state=disk / "state")
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            one.state_command("verify")
            one.start()
            with Peer(one.ingest) as producer, Peer(one.egress) as consumer:
                _, welcome, _ = producer.hello("p")
                assert welcome.next_sequence >= acknowledged > 100
                assert [s.id for s in consumer.read_all()] == [f"i{k}" for k in range(welcome.next_sequence)]
                producer.put_acknowledged(welcome.next_sequence, texts(20, start=welcome.next_sequence))
            one.stop()
            one.state_command("verify")
            assert refused.state
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill_until_it_ends(one):
    """Sends until the filter is gone; how many samples it acknowledged."""
    acknowledged = 0
    with Peer(one.ingest, timeout_ms=500) as producer:
        producer.hello("p")
        while one.process.poll() is None:
            try:
                acknowledged = producer.put_acknowledged(acknowledged, [
                    sample(f"i{k}", words(200, 1000 * k)) for k in range(acknowledged, acknowledged + 20)]).next_sequence
            except zmq.Again:
                continue
    return acknowledged


def test_state_that_cannot_be_made_or_read_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    refused_start(tmp_path, 78, tmp_path / "file", "not a directory", state=tmp_path / "file")
    refused_start(tmp_path, 1, "/proc/nowhere", state="/proc/nowhere")
    (tmp_path / "folder.mdb").mkdir()
    (tmp_path / "folder.mdb" / "data.mdb").mkdir()
    refused_start(tmp_path, 1, tmp_path / "folder.mdb", state=tmp_path / "folder.mdb")


def test_state_without_permission_is_named(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    program = pathlib.Path("/tmp") / f"sluice-{os.getpid()}"
    locked = tmp_path / "locked"
    shutil.copy(SLUICE, program)
    program.chmod(0o755)
    with Filter(tmp_path, state=locked) as one:
        one.stop()
    for path in (locked, *locked.iterdir()):
        path.chmod(0o700 if path.is_dir() else 0o600)
    for parent in locked.parents:
        if parent != parent.parent and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        command = Filter(tmp_path, state=locked).command()
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60, user=65534, group=65534)
        assert done.returncode == 1 and str(locked) in done.stderr and "Permission denied" in done.stderr, done
    finally:
        program.unlink()


def test_state_in_use_is_named_by_every_writer(running):
    still_serves(running)
    with unchanged(running):
        refused_start(running.folder, 1, running.state, f"process {running.process.pid} writes it", state=running.state)
        done = sluice("filter", "--state", running.state, "--set", "duplicate.exact.memory=1MiB", "--set",
                      "duplicate.text.memory=4MiB", stdin=b'{"text":"t"}\n', code=1)
        assert f"{running.state}: process {running.process.pid} writes it".encode() in done.stderr


def test_state_of_another_configuration_says_which_keys(tmp_path):
    with Filter(tmp_path) as one:
        still_serves(one)
        one.stop()
    with unchanged(one):
        for key, value in (("seed", 2), ("duplicate.text.memory", "8MiB"), ("duplicate.text.profile", "news"),
                           ("duplicate.window.samples", 1000), ("duplicate.enabled", "false")):
            said = refused_start(tmp_path, 78, one.state, key, **{key: value})
            assert str(value).lower() in said.lower() or "8388608" in said, said
    one.start()
    assert still_serves(one)
    one.stop()


def garbage_states(good):
    """Names and contents of data.mdb that is not a state."""
    chance = random.Random(11)
    page = 4096
    yield "random", chance.randbytes(1 << 20)
    yield "text", b"hello\n" * 3000
    yield "short", b"\0" * 100
    yield "zeros", bytes(1 << 20)
    yield "cut in the meta pages", good[:page + 100]
    yield "meta pages random", chance.randbytes(2 * page) + good[2 * page:]
    yield "cut behind the meta pages", good[:3 * page]
    yield "pages behind the meta pages random", good[:2 * page] + chance.randbytes(len(good) - 2 * page)


def test_garbage_in_the_state_is_named_and_never_taken_for_a_state(tmp_path):
    with Filter(tmp_path) as one, Peer(one.ingest) as producer:
        producer.hello("p")
        producer.put_acknowledged(0, texts(300))
        one.stop()
    good = (one.state / "data.mdb").read_bytes()
    for name, data in garbage_states(good):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        (folder / "data.mdb").write_bytes(data)
        done = subprocess.run(Filter(tmp_path, state=folder).command(), capture_output=True, text=True, timeout=60)
        assert done.returncode in (1, 78), (name, done)
        assert str(folder) in done.stderr and len(done.stderr.strip().splitlines()) == 1, (name, done.stderr)
        assert (folder / "data.mdb").read_bytes() == data, f"{name}: written over"
        for words_of in (["ls"], ["verify"], ["digest"]):
            done = subprocess.run([SLUICE, "state", *words_of, "--state", folder], capture_output=True, text=True, timeout=60)
            assert done.returncode in (1, 78) and done.stderr.strip(), (name, words_of, done)


def test_one_flipped_byte_is_found_or_harmless(tmp_path):
    """Bytes of a stored state, one at a time: `verify` names a fault, or everything is as it was."""
    with Filter(tmp_path) as one, Peer(one.ingest) as producer:
        producer.hello("p")
        for k in range(0, 200, 20):
            producer.put_acknowledged(k, texts(20, start=k))
        one.stop()
        digest = one.state_command("digest")
    good = (one.state / "data.mdb").read_bytes()
    chance = random.Random(13)
    n_found = 0
    for _ in range(20 if QUICK else 150):
        bad = bytearray(good)
        bad[chance.randrange(8192, len(bad))] ^= 1 << chance.randrange(8)
        (one.state / "data.mdb").write_bytes(bad)
        done = subprocess.run([SLUICE, "state", "verify", "--state", one.state], capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1, 78), done
        if done.returncode == 0:
            assert one.state_command("digest") == digest
        else:
            assert str(one.state) in done.stderr, done.stderr
            n_found += 1
    assert n_found > 0


def test_ports_in_use_are_named(running, tmp_path):
    for key in ("listen.ingest", "listen.egress", "listen.pull", "listen.push"):
        folder = tmp_path / key
        folder.mkdir()
        settings = {key: running.ingest, "state": folder / "state"}
        said = refused_start(folder, 1, running.ingest, "in use", **settings)
        assert "another sluice" in said


# --- peers that do not do their part ---

def test_producer_that_ignores_the_window_is_told_and_loses_nothing(running):
    big = [sample(f"b{k}", words(60000, 60000 * k)[:900000]) for k in range(60)]
    with Peer(running.ingest, timeout_ms=30000) as rude:
        _, welcome, _ = rude.hello("rude")
        with memory_within(running, 300 * MIB):
            for k, one in enumerate(big):
                rude.put(k, [one])
            told, errors = 0, set()
            for _ in big:
                kind, answer, _ = rude.receive()
                if kind == "ack":
                    told = answer.next_sequence
                else:
                    errors.add(error_name(answer))
                    assert answer.expected_sequence <= told + 10
        assert errors <= {"WINDOW_EXCEEDED", "GAP"} and "WINDOW_EXCEEDED" in errors
        assert 0 < told < len(big)
        for k in range(told, len(big)):  # as one should
            told = rude.put_acknowledged(k, [big[k]]).next_sequence
    assert told == len(big)
    assert [s.id for s in Peer(running.egress).read_all(every=True)] == [s.id for s in big]


def flood(endpoint, make, seconds):
    """Sends as fast as it is taken, never reads; how many messages."""
    peer = Peer(endpoint)
    peer.socket.setsockopt(zmq.SNDTIMEO, 200)
    until, n = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < until:
            peer.send(**make(n))
            n += 1
    except zmq.Again:
        pass
    return peer, n


FLOODS = {
    "ping": ("ingest", lambda n: {"ping": session_pb.Ping()}),
    "hello": ("ingest", lambda n: {"hello": session_pb.Hello(wire=1, producer="flood")}),
    "put without hello": ("ingest", lambda n: {"put": session_pb.Put(sequence=0, count=1), "body": b"x" * 10000}),
    "fetch": ("egress", lambda n: {"fetch": session_pb.Fetch(offset=0, all=True, max_bytes=4 * MIB)}),
    "fetch of groups": ("egress", lambda n: {"fetch": session_pb.Fetch(group=f"g{n % 50}", after_commits=True,
                                                                         max_bytes=4 * MIB)}),
    "fetch that waits": ("egress", lambda n: {"fetch": session_pb.Fetch(offset=1 << 40, wait_ms=60000)}),
    "commit": ("egress", lambda n: {"commit": session_pb.Commit(group="g", first_offset=0, next_offset=1)}),
}


@pytest.mark.parametrize("name", FLOODS)
def test_peer_that_sends_and_never_reads_costs_bounded_memory(running, name):
    port, make = FLOODS[name]
    with Peer(running.ingest) as producer:
        producer.hello("p")
        for k in range(8):
            producer.put_acknowledged(k, [sample(f"b{k}", words(60000, 60000 * k)[:900000])])
    endpoint = running.ingest if port == "ingest" else running.egress
    with memory_within(running, 160 * MIB):
        floods = [flood(endpoint, make, 0.5 if QUICK else 2) for _ in range(2)]
        assert all(n > 100 for _, n in floods)
        assert still_serves(running)
    for peer, _ in floods:
        peer.close()
    assert still_serves(running)
    running.stop()


def test_thousands_of_connections_come_and_go(running):
    fds = lambda: len(os.listdir(f"/proc/{running.process.pid}/fd"))  # noqa: E731
    still_serves(running)
    before = fds()
    with memory_within(running, 200 * MIB):
        for _ in range(2 if QUICK else 6):
            peers = [Peer(running.ingest if k % 2 else running.egress) for k in range(500)]
            for k, peer in enumerate(peers):
                peer.send(ping=session_pb.Ping())
            for peer in peers[::5]:
                assert peer.receive()[0] == "pong"
            for peer in peers:
                peer.close()
    assert still_serves(running)
    deadline = time.monotonic() + 20
    while fds() > before + 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fds() <= before + 5


def test_more_connections_than_file_descriptors_wait_and_nothing_falls_over(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        pytest.skip("too few file descriptors for the test itself")
    one = Filter(tmp_path)
    command = one.command()
    one.command = lambda: ["prlimit", "--nofile=100:100", *command]
    with one:
        still_serves(one)
        address = ("127.0.0.1", int(one.ingest.rsplit(":", 1)[1]))
        strangers = [socket.create_connection(address) for _ in range(80)]
        with contextlib.suppress(TimeoutError):
            strangers += [socket.create_connection(address, timeout=0.1) for _ in range(300)]
        time.sleep(0.5)
        assert one.process.poll() is None, one.text()
        for stranger in strangers:
            stranger.close()
        assert still_serves(one)
        one.stop()


def test_silent_connections_are_cut_after_the_handshake_time(running):
    address = ("127.0.0.1", int(running.ingest.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=10) as silent:
        begin = time.monotonic()
        while silent.recv(1000):  # the greeting of the other side, then the end
            pass
        assert time.monotonic() - begin < 8
    assert still_serves(running)


def test_slow_consumer_holds_producers_back_and_loses_nothing(tmp_path):
    """The log is full until the group commits: windows close, nothing is deleted unread."""
    with Filter(tmp_path, spool__max_bytes="8MiB") as one, Peer(one.ingest, timeout_ms=3000) as producer, \
            Peer(one.egress, timeout_ms=30000) as consumer:
        assert consumer.fetch(group="slow", after_commits=True)[0] == "records"  # the log is kept for it from now on
        _, welcome, _ = producer.hello("p")
        total, window, sent = 24, welcome.max_in_flight_bytes, 0
        big = [sample(f"b{k}", words(60000, 60000 * k)[:900000]) for k in range(total)]
        seen, n_closed = [], 0
        while sent < total:
            if window == 0:  # held: now the consumer does its part, and an ACK comes by itself
                n_closed += 1
                producer.put(sent, [big[sent]])
                error = expect_error(producer, "WINDOW_EXCEEDED", "log is full")
                assert error.retry
                seen += drain(consumer)
                kind, ack, _ = producer.receive()
                assert kind == "ack" and ack.max_in_flight_bytes > 0, (kind, ack)
            else:
                ack = producer.put_acknowledged(sent, [big[sent]])
                sent = ack.next_sequence
            window = ack.max_in_flight_bytes
        seen += drain(consumer)
        assert n_closed > 0 and "INGEST-HELD" in one.text() and "spool.max_bytes" in one.text()
        assert seen == [s.id for s in big]
        state = json.loads(one.state_command("ls", "--json"))
        assert state["next_offset"] == total and state["first_offset"] > 0
        one.stop()
        one.state_command("verify")


def drain(consumer):
    """Takes and commits all there is; ids."""
    ids = []
    while True:
        kind, records, body = consumer.fetch(group="slow", after_commits=True, max_bytes=4 * MIB)
        assert kind == "records", records
        if records.count == 0:
            return ids
        ids += [s.id for s in Batch.FromString(body).samples]
        assert consumer.commit("slow", records.first_offset, records.next_offset)[0] == "committed"


def test_more_consumer_groups_than_the_limit_are_refused(running):
    with Peer(running.egress) as consumer:
        n = 0
        kind = "records"
        while kind == "records" and n < 5000:
            kind, answer, _ = consumer.fetch(group=f"g{n}", after_commits=True)
            n += 1
        assert kind == "error" and error_name(answer) == "FORBIDDEN" and "groups" in answer.text, answer
        assert consumer.fetch(group="g0", after_commits=True)[0] == "records"
    assert still_serves(running)


def test_sources_beyond_the_limit_lose_nothing_and_survive_a_restart(tmp_path):
    """1,024 sources are counted by name, the rest together; samples keep their own."""
    with Filter(tmp_path) as one:
        samples = [sample(f"i{n}", words(12, 50 * n), source=f"source{n}") for n in range(1500)]
        with Peer(one.ingest) as producer:
            producer.hello("p")
            assert producer.put_acknowledged(0, samples).kept == 1500
        one.stop()
        one.start()
        with Peer(one.egress) as consumer:
            assert [s.source for s in consumer.read_all()] == [s.source for s in samples]
        assert still_serves(one)
        one.stop()
        one.state_command("verify")
