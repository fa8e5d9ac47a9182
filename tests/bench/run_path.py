"""run_path.py - the whole path: ZeroMQ in, durable, ZeroMQ out, and whether an ACK waits for the disk.

usage: python3 tests/bench/run_path.py BUILD [FOLDER]

Starts `sluice run` with its defaults in a temporary state folder on free ports, and bench_path (one
producer, one consumer) beside it on the same cores. FOLDER (default: BUILD) says on which disk.
Prints JSON; measure.py makes a table of it.
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 3
WARM_UP = (20_000, 0, 64)  # touches all of the index memory
RUNS = [  # samples, samples/s (0: no limit), samples a batch
    (300_000, 0, 64),
    (300_000, 0, 1000),
    (60_000, 0, 1),
    (150_000, 50_000, 64),
    (150_000, 50_000, 1000),
    (60_000, 20_000, 1),
]
COLD_RUNS = [(150_000, 50_000, 64)]
REST_S = 10  # after a round: virtual disks lend speed and want it back
DELAY_MS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Filter:
    """One `sluice run` in a folder of its own; `before` is put in front of the command."""

    def __init__(self, build, folder, before=(), settings=()):
        self.build, self.settings = build, list(settings)
        self.folder = tempfile.mkdtemp(prefix="bench-path-", dir=folder)
        self.ingest, self.egress = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        self.before = list(before)

    def __enter__(self):
        words = [*self.before, os.path.join(self.build, "sluice"), "run"]
        for value in (f"state={self.folder}/state", f"listen.ingest={self.ingest}",
                      f"listen.egress={self.egress}", "listen.http=", *self.settings):
            words += ["--set", value]
        self.log = os.path.join(self.folder, "log")
        self.process = subprocess.Popen(words, stderr=open(self.log, "wb"))
        for _ in range(3000):
            if b"RUN-READY" in open(self.log, "rb").read():
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(open(self.log).read())

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(60)
        shutil.rmtree(self.folder)
        if code != 0:
            raise RuntimeError(f"sluice run ended with {code}")

    def put(self, n, rate, batch):
        words = [os.path.join(self.build, "tests/bench_path"), self.ingest, self.egress, str(n), str(rate), str(batch)]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=300).stdout)


def disk_costs(folder, rounds=200):
    """Milliseconds of appending 64 KiB to a file and calling fdatasync: median and 99th percentile."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        block = os.urandom(1 << 16)
        for _ in range(rounds):
            start = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1e3)
    took.sort()
    return {"median_ms": took[rounds // 2], "p99_ms": took[rounds * 99 // 100]}


def put_once(build, folder, run, warm_up):
    with Filter(build, folder) as one:
        if warm_up:
            one.put(*warm_up)
        return one.put(*run)


def run_rates(build, folder, rounds):
    """Every run in every round, so that a mood of the disk meets all of them; medians."""
    got, disk = {}, []
    for _ in range(rounds):
        disk.append(disk_costs(folder))
        for run in RUNS:
            got.setdefault(("warm", run), []).append(put_once(build, folder, run, WARM_UP))
        for run in COLD_RUNS:
            got.setdefault(("cold", run), []).append(put_once(build, folder, run, None))
        disk.append(disk_costs(folder))
        time.sleep(REST_S)
    rows = []
    for (start, _), runs in got.items():
        row = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        row["worst_p99_ms"] = max(one["p99_ms"] for one in runs)
        row["least_per_s"] = min(one["acknowledged_per_s"] for one in runs)
        rows.append({"start": start, **row})
    return rows, disk


# --- does an ACK wait for the disk? ---

def find_faults(lines, markers):
    """What of write of the text, fdatasync, write of the head, ACK is missing or out of order."""
    faults = []
    for marker in markers:
        wanted = [
            ("the text is written", lambda line: "writev(" in line or "pwrite64(" in line, marker),
            ("fdatasync returns", lambda line: "fdatasync" in line and line.endswith("= 0"), ""),
            ("the head is written through", lambda line: "pwrite64(" in line and "= 120" in line, ""),
            ("the ACK is sent", lambda line: "sendto(" in line and r'\22\t\10\1' in line, ""),
        ]
        step = 0
        for line in lines:
            what, is_it, text = wanted[step]
            if step < 3 and step > 0 and wanted[3][1](line):
                faults.append(f"{marker}: an ACK before {what}")
                break
            if is_it(line) and text in line:
                step += 1
                if step == len(wanted):
                    break
        else:
            faults.append(f"{marker}: never {wanted[step][0]}")
    return faults


def check_order(build, folder, n=20, settings=()):
    """n producers send one text each, one after the other; the calls of the filter are looked at."""
    markers = [f"marker-{i:04}-" for i in range(n)]
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".strace") as trace:
        strace = ["strace", "-D", "-f", "-s", "65536", "-o", trace.name,
                  "-e", "trace=openat,pwrite64,pwritev,writev,fdatasync,sendto"]
        with Filter(build, folder, strace, settings) as one:
            for i, marker in enumerate(markers):
                line = json.dumps({"id": f"{i}", "source": "s", "text": f"{marker} and words behind it"}) + "\n"
                words = [os.path.join(build, "sluice"), "send", "--to", one.ingest, "--producer", f"p{i}", "--json"]
                subprocess.run(words, input=line.encode(), check=True, stdout=subprocess.DEVNULL, timeout=60)
        time.sleep(0.2)  # the tracer writes its last lines
        lines = open(trace.name, errors="replace").read().splitlines()
    opened_through = any("state/data.mdb" in line and "O_DSYNC" in line for line in lines)
    return {"sent": n, "faults": find_faults(lines, markers), "opened_through": opened_through}


def check_delay(build, folder):
    """Every fdatasync is held up for DELAY_MS: nothing can be read sooner if all wait for it."""
    strace = ["strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=fdatasync",
              "-e", f"inject=fdatasync:delay_enter={DELAY_MS * 1000}"]
    with Filter(build, folder) as one:
        plain = one.put(20_000, 10_000, 64)
    with Filter(build, folder, strace) as one:
        delayed = one.put(20_000, 10_000, 64)
    return {"delay_ms": DELAY_MS, "plain": plain, "delayed": delayed}


def measure(build, folder, rounds=ROUNDS):
    rates, disk = run_rates(build, folder, rounds)
    result = {"rates": rates, "disk": disk}
    if shutil.which("strace"):
        result["order"] = check_order(build, folder)
        result["order_os"] = check_order(build, folder, settings=["spool.sync=os"])
        result["delay"] = check_delay(build, folder)
    return result


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(json.dumps(measure(sys.argv[1], sys.argv[-1]), indent=1))
