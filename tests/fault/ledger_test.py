"""ledger_test.py - SIGKILL at random moments: nothing acknowledged is lost, nothing committed comes again.

A producer and a consumer keep a ledger each while the filter between them is killed and started
again. At the end the ledgers, the log and an uninterrupted run of the same samples must agree."""

import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import pytest
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Batch, Filter, Peer, QUICK, ROOT, Sample, error_name, sample  # noqa: E402

KILLS = 10 if QUICK else 50


def texts():
    """Real texts of the fixtures, then all of them once more under other ids: half are duplicates."""
    lines = []
    for name in ("debian-descriptions", "tang-two-editions-zh"):
        path = ROOT / "tests" / "data" / "text" / f"{name}.jsonl.zst"
        lines += subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n")
    objects = [json.loads(line) for line in lines if line]
    stream = [sample(o["id"], o["text"], o["source"]) for o in objects]
    again = [sample("again-" + o["id"], o["text"] + " .", o["source"]) for o in objects]
    random.Random(5).shuffle(again)
    return stream + again


class Producer(threading.Thread):
    """Sends the stream in batches of any size, resends after every loss of contact."""

    def __init__(self, endpoint, stream, seed):
        super().__init__(daemon=True)
        self.endpoint, self.stream, self.random = endpoint, stream, random.Random(seed)
        self.acknowledged, self.fault = 0, None

    def run(self):
        try:
            while self.acknowledged < len(self.stream):
                self.session()
        except Exception as fault:  # told to the main thread
            self.fault = fault

    def session(self):
        with Peer(self.endpoint, timeout_ms=150) as peer:
            try:
                kind, welcome, _ = peer.hello("p")
                if kind != "welcome":
                    return
                assert welcome.next_sequence >= self.acknowledged, "an acknowledged sample is unknown"
                sent = self.acknowledged = welcome.next_sequence  # durable, whether or not an ACK said so
                while self.acknowledged < len(self.stream):
                    while sent < len(self.stream) and sent - self.acknowledged < 120:
                        count = self.random.randint(1, 40)
                        peer.put(sent, self.stream[sent:sent + count])
                        sent += len(self.stream[sent:sent + count])
                    kind, answer, _ = peer.receive()
                    if kind != "ack":
                        assert error_name(answer) in ("GAP", "UNKNOWN_PRODUCER"), answer
                        return
                    self.acknowledged = max(self.acknowledged, answer.next_sequence)
            except zmq.Again:
                return


class Consumer(threading.Thread):
    """Takes leases, commits most of them, forgets some; writes down what it saw."""

    def __init__(self, endpoint, seed):
        super().__init__(daemon=True)
        self.endpoint, self.random, self.ended = endpoint, random.Random(seed), threading.Event()
        self.seen, self.committed, self.fault = {}, [], None

    def run(self):
        try:
            while not self.session():
                pass
        except Exception as fault:
            self.fault = fault

    def session(self):
        with Peer(self.endpoint, timeout_ms=300) as peer:
            try:
                while True:
                    kind, records, body = peer.fetch(group="trainer", after_commits=True, max_bytes=20000,
                                                     lease_ms=400, wait_ms=30)
                    if kind != "records":
                        return False
                    if records.count == 0:
                        if self.ended.is_set() and records.first_offset >= records.head_offset:
                            return True
                        continue
                    self.take(records, body)
                    if self.random.random() < 0.1:
                        continue  # forgets to commit: the lease expires
                    kind, answer, _ = peer.commit("trainer", records.first_offset, records.next_offset)
                    if kind == "committed":
                        self.committed.append((records.first_offset, records.next_offset))
            except zmq.Again:
                return False

    def take(self, records, body):
        span = range(records.first_offset, records.next_offset)
        for first, following in self.committed:
            assert following <= span.start or first >= span.stop, f"{span} came again after its commit"
        for got in Batch.FromString(body).samples:
            digest = hashlib.sha256(got.SerializeToString()).hexdigest()
            assert self.seen.setdefault(got.id, digest) == digest, f"{got.id} came with two contents"


def verdicts(filter_):
    """All verdict records in log order, from the tap."""
    with Peer(filter_.egress) as peer:
        return [(s.id, s.annotations[0].SerializeToString(deterministic=True)) for s in peer.read_all(every=True)]


def uninterrupted(folder, stream, workers=1):
    with Filter(folder, workers=workers) as one:
        producer = Producer(one.ingest, stream, seed=1)
        producer.run()
        assert producer.fault is None, producer.fault
        result = verdicts(one)
        one.stop()
        return result, one.state_command("digest")


@pytest.mark.parametrize("workers", [1] if QUICK else [1, 4])
def test_ledgers_agree_after_kills_at_random_moments(tmp_path, workers):
    seed = int(os.environ.get("SLUICE_SEED", "20261124")) + workers
    print("seed", seed)
    stream = texts()
    chance = random.Random(seed)
    (tmp_path / "reference").mkdir()
    reference, reference_digest = uninterrupted(tmp_path / "reference", stream)
    (tmp_path / "killed").mkdir()
    with Filter(tmp_path / "killed", workers=workers) as one:
        producer, consumer = Producer(one.ingest, stream, seed), Consumer(one.egress, seed)
        producer.start()
        consumer.start()
        kills = 0
        while kills < KILLS:
            time.sleep(chance.uniform(0.0, 0.12))
            if producer.fault or consumer.fault:
                break
            one.kill()
            kills += 1
            one.start()
        producer.join(120)
        consumer.ended.set()
        consumer.join(60)
        assert not producer.is_alive() and not consumer.is_alive(), one.text()[-2000:]
        assert producer.fault is None, producer.fault
        assert consumer.fault is None, consumer.fault
        got = verdicts(one)
        one.stop()
        digest = one.state_command("digest")
        one.state_command("verify")

    kept = {identity for identity, annotation in got if b"duplicate" not in annotation}
    assert [identity for identity, _ in got] == [s.id for s in stream], "lost or doubled samples"
    assert got == reference, "a verdict differs from the uninterrupted run"
    assert digest == reference_digest
    assert set(consumer.seen) == kept, "kept samples that no consumer got, or others that one did"
    print(f"{kills} kills, {len(stream)} samples, {len(kept)} kept")
