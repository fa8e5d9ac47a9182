"""run_memory.py - resident memory of `sluice filter` and `sluice run` beside their budgets; the window.

usage: python3 tests/bench/run_memory.py BUILD [FOLDER [N_DOCUMENTS]]
       python3 tests/bench/run_memory.py BUILD FOLDER mixed [N_SAMPLES]

Anonymous memory (RssAnon) is what counts: it is the program's own. File pages (RssFile) are the
program text and, in `run`, the mapped log, which the system takes back whenever it wants the room.
Both are read from /proc every 20 ms; the largest of each is given. The smallest budgets show what is
there besides the index. Prints JSON; measure.py makes a table of it.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

import run_path

MIB = 1 << 20
DEFAULT = (64, 512)  # MiB: duplicate.exact.memory, duplicate.text.memory
SMALL = (8, 32)
LEAST = (1, 1)


def settings_of(budget):
    exact, text = budget
    return [f"duplicate.exact.memory={exact}MiB", f"duplicate.text.memory={text}MiB"]


class Watch(threading.Thread):
    """Largest RssAnon and RssFile of a process, in bytes, until it ends or stop()."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.anonymous, self.file, self.ended = pid, 0, 0, False
        self.start()

    def run(self):
        while not self.ended:
            try:
                with open(f"/proc/{self.pid}/status") as status:
                    found = dict(re.findall(r"(RssAnon|RssFile):\s+(\d+) kB", status.read()))
            except OSError:
                return
            self.anonymous = max(self.anonymous, int(found.get("RssAnon", 0)) * 1024)
            self.file = max(self.file, int(found.get("RssFile", 0)) * 1024)
            time.sleep(0.02)

    def stop(self):
        self.ended = True
        self.join()
        return {"anonymous": self.anonymous, "file": self.file}


def filter_documents(build, documents, budget, verdicts=None):
    """bench_documents into sluice filter: its summary, and what it took."""
    words = [os.path.join(build, "sluice"), "filter", "--format", "pb", "--json"]
    words += ["--verdicts", verdicts] if verdicts else []
    words += ["-o", "/dev/null"]
    for value in settings_of(budget):
        words += ["--set", value]
    maker = subprocess.Popen([os.path.join(build, "tests/bench_documents"), *map(str, documents)],
                             stdout=subprocess.PIPE)
    one = subprocess.Popen(words, stdin=maker.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    maker.stdout.close()
    watch = Watch(one.pid)
    out, err = one.communicate()
    took = watch.stop()
    if one.returncode != 0 or maker.wait() != 0:
        raise RuntimeError(f"sluice filter: {err.decode()}")
    return {**json.loads(out), **took, "budget": sum(budget) * MIB, "verb": "filter"}


def run_documents(build, folder, n, batch, budget, n_producers=1):
    with run_path.Filter(build, folder, settings=settings_of(budget)) as one:
        watch = Watch(one.process.pid)
        with concurrent.futures.ThreadPoolExecutor(n_producers) as pool:
            list(pool.map(lambda _: one.put(n // n_producers, 0, batch), range(n_producers)))
        took = watch.stop()
    return {**took, "received": n, "batch": batch, "producers": n_producers,
            "budget": sum(budget) * MIB, "verb": "run"}


# --- copies of one text, mixed in: how far back does the memory reach afterwards? ---

def reach(build, folder, n, n_copies, budget):
    """n distinct texts and the copies, then the distinct ones again, newest first: those that are
    still known, and whether they are the newest without a gap."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        verdicts = os.path.join(inside, "verdicts.jsonl")
        summary = filter_documents(build, (n, n_copies, n), budget, verdicts)
        dropped = [b'"decision":"drop"' in line.replace(b" ", b"") for line in open(verdicts, "rb")]
    stream, again = dropped[: 1 + n + n_copies], dropped[2 + n + n_copies :]
    known = again.index(False) if False in again else len(again)
    return {"distinct": n, "copies": n_copies, "budget": sum(budget) * MIB,
            "dropped_in_stream": sum(stream), "known": known, "known_beyond": sum(again) - known,
            "seconds": summary["seconds"]}


# --- all kinds together: the budgets of all methods, ageing by window and by memory ---

MIXED = {"exact": 64, "text": 560, "image": 280, "embedding": 120}  # MiB, 1 GiB in all
MIXED_SMALL = {"exact": 8, "text": 64, "image": 8, "embedding": 8}


def judge_mixed(verdicts, window):
    """What became of the copies of bench_mixed: by distance in the log where there is a window, else by
    how many samples of the same kind were kept since."""
    kept, place, found, lost, wrong = {"text": 0, "image": 0, "embedding": 0}, {}, [], [], 0
    inside = outside = found_inside = found_outside = 0
    for i, line in enumerate(open(verdicts, "rb")):
        record = json.loads(line)
        identity, _, of = record["id"].partition("=")
        kind, duplicate = record["source"], record["duplicate"]
        if not of:
            wrong += duplicate is not None  # a distinct sample is nobody's duplicate
        elif window:
            near = i - int(of) <= window
            inside, outside = inside + near, outside + (not near)
            found_inside += near and duplicate is not None and duplicate["of"] == f"I{of}"
            found_outside += not near and duplicate is not None
        else:
            rank = kept[kind] - place[f"I{of}"]
            (found if duplicate is not None and duplicate["of"] == f"I{of}" else lost).append((kind, rank))
        wrong += bool(of) and duplicate is not None and duplicate["of"] != f"I{of}"
        if record["decision"] == "keep":
            place[identity if not of else record["id"]] = kept[kind]
            kept[kind] += 1
    if window:
        return {"inside": inside, "found_inside": found_inside, "outside": outside,
                "found_outside": found_outside, "wrong": wrong}
    reach = {}
    for kind in kept:
        far = [rank for k, rank in found if k == kind]
        near = [rank for k, rank in lost if k == kind]
        reach[kind] = {"found": len(far), "not_found": len(near), "farthest_found": max(far, default=0),
                       "nearest_not_found": min(near, default=None), "kept": kept[kind]}
    return {"reach": reach, "wrong": wrong}


def filter_mixed(build, folder, n, budgets, window, distance):
    """bench_mixed into sluice filter; `distance` parts the copies of bench_mixed in two."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        verdicts = os.path.join(inside, "verdicts.jsonl")
        words = [os.path.join(build, "sluice"), "filter", "--format", "pb", "--json", "-o", "/dev/null",
                 "--verdicts", verdicts, "--set", f"duplicate.window.samples={window}"]
        for method, mib in budgets.items():
            words += ["--set", f"duplicate.{method}.memory={mib}MiB"]
        maker = subprocess.Popen([os.path.join(build, "tests/bench_mixed"), str(n), str(distance)],
                                 stdout=subprocess.PIPE)
        one = subprocess.Popen(words, stdin=maker.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        maker.stdout.close()
        watch = Watch(one.pid)
        out, err = one.communicate()
        took = watch.stop()
        if one.returncode != 0 or maker.wait() != 0:
            raise RuntimeError(f"sluice filter: {err.decode()}")
        summary = json.loads(out)
        judged = judge_mixed(verdicts, window)
    return {"received": summary["received"], "seconds": summary["seconds"], "counters": summary["counters"],
            "budget": sum(budgets.values()) * MIB, "window": window, **took, **judged}


def measure_mixed(build, folder, n=1_000_000):
    return [filter_mixed(build, folder, n, MIXED, n * 2 // 5, n * 2 // 5),
            filter_mixed(build, folder, n, MIXED_SMALL, 0, n // 10)]


def measure(build, folder, n=10_000_000):
    memory = [
        filter_documents(build, (n // 50,), LEAST),
        filter_documents(build, (n,), DEFAULT),
        filter_documents(build, (n,), SMALL),
        filter_documents(build, (2000, 0, 0, 4000), LEAST),  # texts of 25 KB
        run_documents(build, folder, n // 50, 64, LEAST),
        run_documents(build, folder, n // 50, 1000, LEAST),
        run_documents(build, folder, n // 50, 3500, LEAST),
        run_documents(build, folder, n // 25, 1000, LEAST, 10),
        run_documents(build, folder, n // 25, 3500, LEAST, 10),
        run_documents(build, folder, n // 6, 64, DEFAULT),
        run_documents(build, folder, n // 20, 64, SMALL),
    ]
    window = [reach(build, folder, n // 10, 0, SMALL), reach(build, folder, n // 10, n // 10, SMALL)]
    return {"memory": memory, "window": window}


if __name__ == "__main__":
    if len(sys.argv) in (4, 5) and sys.argv[3] == "mixed":
        n_mixed = int(float(sys.argv[4])) if len(sys.argv) == 5 else 1_000_000
        print(json.dumps(measure_mixed(sys.argv[1], sys.argv[2], n_mixed), indent=1))
        sys.exit(0)
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    number = int(float(sys.argv[3])) if len(sys.argv) == 4 else 10_000_000
    print(json.dumps(measure(sys.argv[1], sys.argv[min(2, len(sys.argv) - 1)], number), indent=1))
