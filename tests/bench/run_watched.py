"""run_watched.py - what it costs the stream that somebody looks on.

usage: python3 tests/bench/run_watched.py BUILD [FOLDER]

The whole path as in run_path.py (batches of 64, no limit of the rate). One filter takes bursts of a second; in every
other one it is watched: one tap of everything, /metrics once a second, and what an open page asks (live.js), from the
same two cores. Neighbouring bursts of one process are compared (not one process with another: those differ by 10 % in
their luck with memory and disk), in the order nobody, watched, watched, nobody; FILTERS of them, so that no process
speaks for all.

    loss  = 1 - median of watched / nobody over the pairs, with its 95 % interval (order statistics: no bell is assumed),
            + idle: what the HTTP thread takes while nobody looks, which both of a pair pay.
            The watchers' own work is in it, as it is on a machine that runs both.
    share = processor time of the HTTP thread and of the watchers / processor time of the filter, both for one sample.
            What speed that time would have made if all cores are busy, and more: producer and consumer are not in
            the divisor. There is no clock of the wall in it, so that other work on the machine hardly moves it.
    cpu_more = how much more processor time the whole filter takes for a sample: median over the pairs.

Prints JSON; measure.py makes a row of it.
"""
import json
import math
import os
import socket
import statistics
import sys
import threading
import time
import urllib.request

import run_path

FILTERS, PAIRS = 4, 12
ASKED = {"metrics": 1, "api/v1/status": 1, "api/v1/portfolio": 2, "api/v1/recent": 10, "api/v1/duplicates?n=20": 10,
         "api/v1/top?n=10&by=self": 10, "api/v1/top?n=10&by=leverage": 10}  # every so many seconds
BURST = (300_000, 0, 64)


class Watchers:
    """One tap, a scrape a second and an open page, between look and rest. The seconds go on over rests: a page asks
    for everything in its first one."""

    def __init__(self, port):
        self.port, self.second, self.n_bytes, self.scrapes, self.cpu_s = port, 0, 0, [], 0.0
        self.looking = False

    def look(self):
        self.line = socket.create_connection(("127.0.0.1", self.port))
        self.line.sendall(b"GET /api/v1/tap HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self.looking = True
        self.threads = [threading.Thread(target=self.read), threading.Thread(target=self.scrape)]
        for thread in self.threads:
            thread.start()

    def read(self):
        while got := self.line.recv(1 << 16):
            self.n_bytes += len(got)
        self.cpu_s += time.thread_time()

    def scrape(self):
        while self.looking:
            due = time.perf_counter() + 1
            for path in [path for path, every in ASKED.items() if self.second % every == 0]:
                began = time.perf_counter()
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=20).read()
                self.scrapes.append((time.perf_counter() - began) * 1e3)
            self.second += 1
            while self.looking and time.perf_counter() < due:
                time.sleep(0.05)
        self.cpu_s += time.thread_time()

    def rest(self):
        self.looking = False
        self.line.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


def cpu_of_threads(pid):
    """Seconds of processor time: of the HTTP thread, and of the whole filter."""
    took = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        name = open(f"/proc/{pid}/task/{thread}/comm").read().strip()
        took[name] = took.get(name, 0) + int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) / 1e9
    return {"http": took["http"], "filter": sum(took.values())}


def put_burst(one, watchers):
    before = cpu_of_threads(one.process.pid)
    if watchers:
        watchers.look()
    rate = one.put(*BURST)["acknowledged_per_s"]
    if watchers:
        watchers.rest()
    after = cpu_of_threads(one.process.pid)
    return {"rate": rate, **{name: (after[name] - before[name]) / BURST[0] * 1e6 for name in after}}


def put_pairs(build, folder, n_pairs):
    plain, watched = [], []
    port = run_path.free_port()
    with run_path.Filter(build, folder, settings=[f"listen.http=127.0.0.1:{port}"]) as one:
        watchers = Watchers(port)
        one.put(*run_path.WARM_UP)
        one.put(*BURST)
        for i in range(n_pairs):
            for is_watched in ((False, True) if i % 2 == 0 else (True, False)):
                (watched if is_watched else plain).append(put_burst(one, watchers if is_watched else None))
    return plain, watched, watchers


def measure(build, folder, filters=FILTERS, n_pairs=PAIRS):
    plain, watched, all_watchers = [], [], []
    for _ in range(filters):
        some = put_pairs(build, folder, n_pairs)
        plain += some[0]
        watched += some[1]
        all_watchers.append(some[2])
    of = {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
          for name, rows in (("plain", plain), ("watched", watched))}
    watchers_us = sum(w.cpu_s for w in all_watchers) / len(plain) / BURST[0] * 1e6
    idle = of["plain"]["http"] / of["plain"]["filter"]
    lost = sorted(1 - b["rate"] / a["rate"] + idle for a, b in zip(plain, watched))
    outside = max(0, math.floor(len(lost) / 2 - math.sqrt(len(lost))))  # of the interval, at each end
    return {"pairs": len(lost), "samples_per_s": {name: row["rate"] for name, row in of.items()},
            "cpu_us": {name: row["filter"] for name, row in of.items()},
            "http_cpu_us": {name: row["http"] for name, row in of.items()}, "watchers_cpu_us": watchers_us,
            "loss": statistics.median(lost), "loss_interval": [lost[outside], lost[-1 - outside]],
            "cpu_more": statistics.median(b["filter"] / a["filter"] - 1 for a, b in zip(plain, watched)),
            "idle": idle, "share": (of["watched"]["http"] + watchers_us) / of["plain"]["filter"],
            "tap_mb": sum(w.n_bytes for w in all_watchers) / 1e6 / sum(w.second for w in all_watchers),
            "scrape_ms": max(ms for w in all_watchers for ms in w.scrapes)}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(json.dumps(measure(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[-1])), indent=1))
