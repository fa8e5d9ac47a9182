"""restore_test.py - SIGKILL of filter and of `state restore` at random moments: a restored sample comes once."""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

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


class Restorer(threading.Thread):
    """Restores one sample after the other; one in three attempts is killed itself."""

    def __init__(self, one, ids, seed):
        super().__init__(daemon=True)
        self.one, self.ids, self.random, self.fault, self.attempts = one, ids, random.Random(seed), None, 0

    def run(self):
        try:
            for identity in self.ids:
                while not self.restore(identity):
                    self.attempts += 1
        except Exception as fault:  # told to the main thread
            self.fault = fault

    def restore(self, identity):
        process = subprocess.Popen([SLUICE, "state", "restore", identity, "--state", str(self.one.state), "--to",
                                    self.one.ingest, "--timeout", "2", "--json"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            process.wait(self.random.uniform(0, 0.05) if self.random.random() < 0.33 else 30)
        except subprocess.TimeoutExpired:
            process.kill()
        out, err = process.communicate()
        if process.returncode == 0 or "restored before" in err:
            return True
        assert process.returncode in (-9, 1, 75), (process.returncode, err)
        assert "another state" not in err and "no dropped sample" not in err, err
        return False


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
        restorer = Restorer(one, wanted, seed)
        restorer.start()
        kills = 0
        while restorer.is_alive() and kills < 500:
            time.sleep(chance.uniform(0.0, 0.15))
            one.kill()
            kills += 1
            one.start()
            time.sleep(chance.uniform(0.0, 0.05))
        restorer.join(60)
        assert restorer.fault is None, restorer.fault
        assert read_group(one, "trainer") == wanted, "lost, doubled or out of order"
        assert read_group(one, "late") == first + wanted
        one.stop()
    assert "is sound" in one.state_command("verify")
    (row,) = [r for r in json.loads(one.state_command("ls", "--json"))["producers"] if r["name"] == "sluice-restore"]
    assert row["kept"] == RESTORES and row["received"] == row["kept"] + row["redelivered"]
    print(f"{kills} kills, {restorer.attempts} attempts in vain")
