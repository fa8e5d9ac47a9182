"""large_image_test.py - an image larger than any batch travels alone: through both sockets, up to its limit, in bounds."""

import base64
import importlib
import io
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading

import pytest
import zmq

from harness import QUICK, ROOT, SLUICE, Batch, Filter, Peer, Sample, batch_of, error_name, free_port

Image = pytest.importorskip("PIL.Image", reason="needs python3-pil")

MIB = 1 << 20


def picture(seed, size):
    """A JPEG of exactly `size` bytes: a small picture, then bytes behind its end, which codecs pass over."""
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (8, 8), bytes(rng.randrange(256) for _ in range(192)))
    out = io.BytesIO()
    small.resize((320, 240), Image.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue() + rng.randbytes(1) * (size - out.tell())


def image_sample(name, seed, size, **more):
    return Sample(id=name, source="s", media_type="image/jpeg", payload=picture(seed, size), **more)


@pytest.fixture
def running(tmp_path):
    with Filter(tmp_path) as one:
        yield one


def anonymous_mib(one):
    """Resident memory less the mapped log: what the process itself needs."""
    status = open(f"/proc/{one.process.pid}/status").read()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024


def test_image_of_10_mib_passes_send_run_and_recv(running, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    files = {"a.jpg": picture(1, 20_000), "b.jpg": picture(2, 10 * MIB), "c.jpg": picture(3, 20_000),
             "d.jpg": picture(2, 10 * MIB - 1)}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sent = subprocess.run([SLUICE, "send", "--to", running.ingest, "--json", folder], capture_output=True, text=True)
    assert sent.returncode == 0, sent.stderr
    counts = json.loads(sent.stdout)
    assert (counts["kept"], counts["dropped"], counts["not_sent"]) == (3, 1, 0)
    read = subprocess.run([SLUICE, "recv", "--from", running.egress], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    got = {line["id"]: base64.b64decode(line["payload_base64"]) for line in map(json.loads, read.stdout.splitlines())}
    assert got == {name: files[name] for name in ("a.jpg", "b.jpg", "c.jpg")}


def test_python_package_sends_and_reads_images_up_to_the_limit(running, tmp_path):
    target = tmp_path / "package"
    shutil.copytree(ROOT / "src" / "python" / "sluice", target / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([ROOT / "src" / "python" / "generate.sh", target], check=True)
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "sluice"}
    sys.path.insert(0, str(target))
    try:
        sluice = importlib.import_module("sluice")
        with sluice.Producer(running.ingest, "p", timeout=60) as producer:
            for i, size in enumerate((20_000, 32 * MIB, 20_000)):
                producer.send(image_sample(f"i{i}", i, size).SerializeToString())
            with pytest.raises(ValueError, match="34603008"):
                producer.send(image_sample("beyond", 9, 33 * MIB).SerializeToString())
        assert producer.counts.kept == 3
        with sluice.Consumer(running.egress, group="g") as consumer:
            assert [len(one.payload) for one in consumer] == [20_000, 32 * MIB, 20_000]
    finally:
        sys.path.remove(str(target))
        for name in [name for name in sys.modules if name.split(".")[0] == "sluice"]:
            del sys.modules[name]
        sys.modules.update(kept)


def test_limits_of_a_message_are_obeyed_at_and_one_beyond(running):
    with Peer(running.ingest, timeout_ms=60000) as producer:
        producer.hello("p")
        assert producer.put_acknowledged(0, [image_sample("at", 1, 32 * MIB)]).kept == 1
        ack = producer.put_acknowledged(1, [image_sample("beyond", 2, 32 * MIB + 1)])
        assert [(fault.reason, fault.sequence) for fault in ack.faults] == [("image_too_large", 1)]
        ack = producer.put_acknowledged(2, [Sample(id="text", payload=b"t" * 5 * MIB)])
        assert [fault.reason for fault in ack.faults] == ["text_too_large"]
        two = batch_of([image_sample("one", 3, 4 * MIB), image_sample("two", 4, 1000)])
        extra = batch_of([image_sample("one", 3, 4 * MIB)]) + b"\x10\x01"
        whole = b"\x0a" + b"\x80\x80\x80\x10" + b"\x00" * (32 * MIB + MIB - 5)  # says 32 MiB, has more
        beyond = image_sample("beyond", 5, 33 * MIB)
        for body, count in ((two, 2), (two, 1), (extra, 1), (whole, 1), (batch_of([beyond]), 1)):
            producer.put(3, [], count=count, body=body)
            kind, error, _ = producer.receive()
            assert kind == "error" and error_name(error) == "TOO_LARGE" and error.text, error
        assert producer.put_acknowledged(3, [image_sample("next", 6, 4 * MIB + 1)]).kept == 1
        with Peer(running.ingest, timeout_ms=500) as other:
            other.hello("q")
            other.put(0, [], count=1, body=b"x" * (33 * MIB + (64 << 10) + 1))
            with pytest.raises(Exception, match="temporarily unavailable"):  # the connection ends without an answer
                other.receive()
    with Peer(running.egress, timeout_ms=60000) as consumer:
        assert [len(one.payload) for one in consumer.read_all()] == [32 * MIB, 4 * MIB + 1]


def test_large_images_of_many_producers_survive_a_kill(running):
    n_producers, n_images = 4, 2

    def send(i):
        with Peer(running.ingest, timeout_ms=120000) as producer:
            producer.hello(f"p{i}")
            for k in range(n_images):
                assert producer.put_acknowledged(k, [image_sample(f"{i}-{k}", 100 * i + k, 30 * MIB)]).kept == 1

    threads = [threading.Thread(target=send, args=(i,)) for i in range(n_producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.kill()
    running.start()
    with Peer(running.egress, timeout_ms=60000) as consumer:
        seen, start = [], 0
        while len(seen) < n_producers * n_images:
            kind, records, body = consumer.fetch(offset=start, max_bytes=1 << 20)
            assert kind == "records" and records.count == 1, records  # one a message, whatever was asked for
            one = Batch.FromString(body).samples[0]
            assert len(one.payload) == 30 * MIB
            seen.append(one.id)
            start = records.next_offset
        assert sorted(seen) == sorted(f"{i}-{k}" for i in range(n_producers) for k in range(n_images))


def test_memory_is_bounded_by_the_bytes_in_flight(tmp_path):
    """Plain PUSH sockets know no window: what is beyond 64 MiB and a message stays in the sockets' queues."""
    pull = f"tcp://127.0.0.1:{free_port()}"
    n = 10 if QUICK else 40
    with Filter(tmp_path, listen__pull=pull) as running:
        sanitized = re.search(r"lib[at]san", pathlib.Path(f"/proc/{running.process.pid}/maps").read_text())
        socket = Peer.context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 1)
        socket.connect(pull)
        most = 0.0
        for i in range(n):
            socket.send(image_sample(f"i{i}", i, 30 * MIB).SerializeToString())
            most = max(most, anonymous_mib(running))
        with Peer(running.egress, timeout_ms=60000) as consumer:
            while consumer.fetch(offset=n, wait_ms=1000)[1].head_offset < n:
                most = max(most, anonymous_mib(running))
        socket.close()
    # In flight 97 MiB, once as it came and once as a batch; 16 messages in the socket's queue and one being read.
    assert sanitized or most < 2 * 97 + 17 * 33 + 60
