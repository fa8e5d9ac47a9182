"""run_watched.py - what it costs the stream that somebody looks on.

usage: python3 tests/bench/run_watched.py BUILD [FOLDER]

The whole path as in run_path.py (batches of 64, no limit of the rate), in turns: nobody looks, and one tap
of everything, /metrics once a second, and what an open page asks (live.js). The watchers share the two cores.
Prints JSON; measure.py makes a row of it.
"""
import json
import os
import socket
import statistics
import sys
import threading
import time
import urllib.request

import run_path

ROUNDS = 5
ASKED = {"metrics": 1, "api/v1/status": 1, "api/v1/portfolio": 2, "api/v1/recent": 10, "api/v1/duplicates?n=20": 10,
         "api/v1/top?n=10&by=self": 10, "api/v1/top?n=10&by=leverage": 10}  # every so many seconds
RUN = (2_000_000, 0, 64)  # a page asks for everything in its first second


class Watchers:
    """One tap, a scrape a second and an open page, until stopped."""

    def __init__(self, port):
        self.port, self.ended, self.n_bytes, self.scrapes = port, False, 0, []
        self.line = socket.create_connection(("127.0.0.1", port))
        self.line.sendall(b"GET /api/v1/tap HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self.threads = [threading.Thread(target=self.read), threading.Thread(target=self.scrape)]
        for thread in self.threads:
            thread.start()

    def read(self):
        while True:
            got = self.line.recv(1 << 16)
            if not got:
                return
            self.n_bytes += len(got)

    def scrape(self):
        second = 0
        while not self.ended:
            for path in [path for path, every in ASKED.items() if second % every == 0]:
                began = time.perf_counter()
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=20).read()
                self.scrapes.append((time.perf_counter() - began) * 1e3)
            time.sleep(1)
            second += 1

    def stop(self):
        self.ended = True
        self.line.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def put_once(build, folder, watched):
    port = run_path.free_port()
    settings = [f"listen.http=127.0.0.1:{port}"] if watched else []
    with run_path.Filter(build, folder, settings=settings) as one:
        one.put(*run_path.WARM_UP)
        watchers = Watchers(port) if watched else None
        before = cpu_s(one.process.pid)
        row = one.put(*RUN)
        row["cpu_us"] = (cpu_s(one.process.pid) - before) / RUN[0] * 1e6
        if watchers:
            watchers.stop()
            row["tap_bytes"], row["scrape_ms"] = watchers.n_bytes, max(watchers.scrapes)
        return row


def measure(build, folder, rounds=ROUNDS):
    plain, watched = [], []
    for i in range(rounds):
        for is_watched in ((False, True) if i % 2 == 0 else (True, False)):
            (watched if is_watched else plain).append(put_once(build, folder, is_watched))
    rate = {name: statistics.median(row["acknowledged_per_s"] for row in rows)
            for name, rows in (("plain", plain), ("watched", watched))}
    cpu = {name: statistics.median(row["cpu_us"] for row in rows) for name, rows in (("plain", plain), ("watched", watched))}
    return {"samples_per_s": rate, "cpu_us": cpu, "loss": 1 - rate["watched"] / rate["plain"],
            "cpu_more": cpu["watched"] / cpu["plain"] - 1, "rounds": rounds,
            "tap_mb": statistics.median(row["tap_bytes"] for row in watched) / 1e6,
            "scrape_ms": max(row["scrape_ms"] for row in watched)}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    print(json.dumps(measure(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[-1])), indent=1))
