"""restore_test.py - SIGKILL of filter and of `state restore` or `forget` at random moments: it is done once, or not at all."""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Batch, Filter, Peer, QUICK, SLUICE, sample  # noqa: E402

SAMPLES, RESTORES = 200, 6 if QUICK else 20


def read_group(one, group):
    ids = []
    with Peer(one.egress) as consumer:
        while True:
            _, records, body = consumer.fetch(group=group, after_commits=True)
            if records.count == 0:
                return ids
            ids += [s.id for s in Batch.FromString(body).samples]
            consumer.commit(group, records.first_offset, records.next_offset)


class Changer(threading.Thread):
    """Restores or forgets one sample after the other; one in three attempts is killed itself."""

    def __init__(self, one, verb, ids, seed):
        super().__init__(daemon=True)
        self.one, self.verb, self.ids, self.random, self.fault, self.attempts = one, verb, ids, random.Random(seed), None, 0
        self.done = []  # ids of which somebody was told that it is durable

    def run(self):
        try:
            for identity in self.ids:
                while not self.change(identity):
                    self.attempts += 1
                self.done.append(identity)
        except Exception as fault:  # told to the main thread
            self.fault = fault

    def change(self, identity):
        way = ("--to", self.one.ingest) if self.verb == "restore" else ("--from", self.one.egress)
        process = subprocess.Popen([SLUICE, "state", self.verb, identity, "--state", str(self.one.state), *way, "--timeout", "2", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(self.random.uniform(0, 0.05) if self.random.random() < 0.33 else 30)
        except subprocess.TimeoutExpired:
            process.kill()
        out, err = process.communicate()
        if process.returncode == 0 or "restored before" in err:
            return True
        assert process.returncode in (-9, 1, 75), (process.returncode, err)
        assert "another state" not in err and "no dropped sample" not in err and "no such sample" not in err and "it was dropped" not in err, err
        return False


def kill_until_done(one, changer, chance):
    changer.start()
    kills = 0
    while changer.is_alive() and kills < 500:
        time.sleep(chance.uniform(0.0, 0.15))
        one.kill()
        kills += 1
        one.start()
        time.sleep(chance.uniform(0.0, 0.05))
    changer.join(60)
    assert changer.fault is None, changer.fault
    return kills


def test_restored_samples_come_once_whatever_is_killed(tmp_path):
    seed = int(os.environ.get("SLUICE_SEED", "20261124"))
    print("seed", seed)
    chance = random.Random(seed)
    texts = [" ".join(f"w{1000 * n + k}" for k in range(40)) for n in range(SAMPLES)]
    with Filter(tmp_path) as one:
        with Peer(one.ingest) as producer:
            producer.hello("p")
            producer.put_acknowledged(0, [sample(f"a{n}", text) for n, text in enumerate(texts)])
            ack = producer.put_acknowledged(SAMPLES, [sample(f"b{n}", text) for n, text in enumerate(texts)])
            assert ack.dropped == SAMPLES
        first = read_group(one, "trainer")
        wanted = chance.sample([f"b{n}" for n in range(SAMPLES)], RESTORES)
        restorer = Changer(one, "restore", wanted, seed)
        kills = kill_until_done(one, restorer, chance)
        assert read_group(one, "trainer") == wanted, "lost, doubled or out of order"
        assert read_group(one, "late") == first + wanted
        one.stop()
    assert "is sound" in one.state_command("verify")
    (row,) = [r for r in json.loads(one.state_command("ls", "--json"))["producers"] if r["name"] == "sluice-restore"]
    assert row["kept"] == RESTORES and row["received"] == row["kept"] + row["redelivered"]
    print(f"{kills} kills, {restorer.attempts} attempts in vain")


def copies_are_kept(one, texts, prefix):
    """Sends a copy of each text; those that were kept, and whom the others repeat."""
    with Peer(one.ingest) as producer:
        _, welcome, _ = producer.hello(prefix)
        producer.put_acknowledged(welcome.next_sequence, [sample(f"{prefix}{n}", text) for n, text in enumerate(texts)])
    with Peer(one.egress) as consumer:
        mine = [s for s in consumer.read_all(every=True) if s.id.startswith(prefix)]
    assert len(mine) == len(texts)
    return {s.id for s in mine if not s.annotations[0].HasField("duplicate")}, {s.id: s.annotations[0].duplicate.of for s in mine}


def test_forgotten_samples_are_forgotten_whole_whatever_is_killed(tmp_path):
    seed = int(os.environ.get("SLUICE_SEED", "20261124"))
    print("seed", seed)
    chance = random.Random(seed)
    texts = [" ".join(f"w{1000 * n + k}" for k in range(40)) for n in range(SAMPLES)]
    with Filter(tmp_path) as one:
        with Peer(one.ingest) as producer:
            producer.hello("p")
            producer.put_acknowledged(0, [sample(f"a{n}", text) for n, text in enumerate(texts)])
        wanted = chance.sample(range(SAMPLES), RESTORES)
        forgetter = Changer(one, "forget", [f"a{n}" for n in wanted], seed)
        kills = kill_until_done(one, forgetter, chance)
        assert len(forgetter.done) == RESTORES
        new, of = copies_are_kept(one, texts, "b")
        assert new == {f"b{n}" for n in wanted}, "not forgotten, or others were"
        assert all(of[f"b{n}"] == f"a{n}" for n in range(SAMPLES) if n not in wanted)
        one.kill()
        one.start()  # what the rows say now is what the dead process had said
        new, of = copies_are_kept(one, texts, "c")
        assert new == set() and all(of[f"c{n}"] == f"{'b' if n in wanted else 'a'}{n}" for n in range(SAMPLES))
        one.stop()
    assert "is sound" in one.state_command("verify")
    print(f"{kills} kills, {forgetter.attempts} attempts in vain")


@pytest.mark.parametrize("point, done", [("spool.write", False), ("spool.commit", False), ("spool.committed", True)])
def test_forget_that_dies_at_a_step_of_its_commit_is_done_or_not_done(tmp_path, point, done):
    text = " ".join(f"word{k}" for k in range(40))
    one = Filter(tmp_path, environment={"SLUICE_FAULT": f"{point}:1:abort"})
    calm = {name: value for name, value in one.environment.items() if name != "SLUICE_FAULT"}
    faulty, one.environment = one.environment, calm
    with one:
        with Peer(one.ingest) as producer:
            producer.hello("p")
            producer.put_acknowledged(0, [sample("a", text)])
        one.stop()
        one.environment = faulty
        one.start()
        said = subprocess.run([SLUICE, "state", "forget", "a", "--from", one.egress, "--timeout", "0.5"], capture_output=True, text=True)
        if said.returncode == 0:
            pytest.skip("a build without fault points")
        assert one.process.wait(10) != 0 and "no answer" in said.stderr
        one.environment = calm
        one.start()
        new, _ = copies_are_kept(one, [text], "b")
        assert (new == {"b0"}) == done
        one.stop()
    assert "is sound" in one.state_command("verify")
