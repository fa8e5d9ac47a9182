"""demo.py - the programs around the filter in the demo: a producer, a trainer, and the sum at the end."""

import collections
import json
import pathlib
import subprocess
import sys
import time

from sluice import Consumer, Producer

INGEST, EGRESS = "tcp://127.0.0.1:5590", "tcp://127.0.0.1:5591"


def texts(path):
    for line in subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n"):
        if line:
            yield json.loads(line)


def produce(name, rate, *paths):
    """Sends the texts of some files, so many a second; what the filter has already is not sent again."""
    objects = [o for path in paths for o in texts(path)]
    with Producer(INGEST, name, timeout=60) as producer:
        begin = producer.next_sequence
        started = time.monotonic()
        for sent, o in enumerate(objects[begin:], 1):
            producer.send(id=o["id"], source=o["source"], text=o["text"])
            time.sleep(max(0.0, started + sent / float(rate) - time.monotonic()))
    print(f"  producer {name}: {len(objects)} texts sent and acknowledged")


def train(out, done):
    """Stands for a trainer: takes kept samples, writes their ids down, commits."""
    done, seen = pathlib.Path(done), 0
    with open(out, "a") as ids:
        while True:
            last_round = done.exists()
            with Consumer(EGRESS, "trainer", timeout=60) as consumer:
                for sample in consumer:
                    ids.write(sample.id + "\n")
                    seen += 1
                    if seen % 100 == 0:
                        ids.flush()
                        consumer.commit()
                ids.flush()
                consumer.commit()
            if last_round:
                break
            time.sleep(0.2)
    print(f"  trainer: {seen} samples read")


def summary(out, state):
    """Do the counts add up? And three of the dropped, to show why."""
    producers = json.loads(state)["producers"]
    received, kept, flagged, dropped, redelivered = (sum(producer[name] for producer in producers)
                                                     for name in ("received", "kept", "flagged", "dropped", "redelivered"))
    ids = pathlib.Path(out).read_text().split("\n")[:-1]
    print(f"  received {received} = kept {kept} + flagged {flagged} + dropped {dropped} + sent again after the kill {redelivered}")
    print(f"  the trainer read {len(set(ids))} different samples, {len(ids) - len(set(ids))} of them twice")
    good = received == kept + flagged + dropped + redelivered and len(set(ids)) == kept + flagged
    print("  the counts add up" if good else "  THE COUNTS DO NOT ADD UP")
    return 0 if good else 1


def influence(verdicts):
    """How many samples have scores, which sources are of their own kind, which samples moved most."""
    records = [json.loads(line) for line in pathlib.Path(verdicts).read_text().split("\n")[:-1]]
    states, shifts, moved = collections.Counter(), {}, []
    for record in records:
        scores = record["influence"] or {"state": "none", "source_shift": None, "self": None}
        states[scores["state"]] += 1
        if scores["source_shift"] is not None:
            shifts.setdefault(record["source"], []).append(scores["source_shift"])
        if scores["self"] is not None and record["decision"] == "keep":
            moved.append((scores["self"], record["id"], record["source"]))
    print("  samples by state: " + ", ".join(f"{n} {state}" for state, n in states.most_common()))
    largest = sorted(((max(values), source) for source, values in shifts.items()), reverse=True)
    print("  sources unlike the rest (source_shift): " + ", ".join(f"{source} {shift:.0f}" for shift, source in largest[:4]))
    print("  most self-influence of the kept: " + ", ".join(f"{name} ({source}) {score:.1f}" for score, name, source in sorted(moved)[-3:][::-1]))


if __name__ == "__main__":
    verb, words = sys.argv[1], sys.argv[2:]
    sys.exit({"produce": produce, "train": train, "summary": summary, "influence": influence}[verb](*words))
