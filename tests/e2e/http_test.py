"""http_test.py - what a running filter answers over HTTP: every path, who may ask, what is held off."""

import base64
import concurrent.futures
import http.client
import io
import json
import pathlib
import re
import socket
import subprocess
import time

import pytest
from PIL import Image

from harness import QUICK, SLUICE, Filter, Peer, Sample, free_port, sample, session_pb
from policy_test import Reloaded

JSON = "application/json; charset=utf-8"
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&amp;\u2028\"\\ \U0001f600"
PATHS = ["/", "/metrics", "/livez", "/readyz", "/api/v1/status", "/api/v1/portfolio", "/api/v1/duplicates",
         "/api/v1/top", "/api/v1/recent", "/api/v1/alerts", "/api/v1/config", "/page.css", "/page.js", "/chart.js"]


class Watched(Filter):
    """A filter with HTTP, and what asks it."""

    def __init__(self, folder, host="127.0.0.1", **settings):
        self.port = free_port()
        super().__init__(folder, listen__http=f"{host}:{self.port}", **settings)

    def ask(self, path, method="GET", headers=None, body=None):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            line.request(method, path, body=body, headers=headers or {})
            answer = line.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            line.close()

    def json(self, path):
        answer = self.ask(path)
        assert answer.getheader("Content-Type") == JSON, (path, answer.status)
        assert not re.search(rb"[<>&]", answer.content), path
        return json.loads(answer.content)

    def metrics(self):
        return parse_metrics(self.ask("/metrics").content.decode())

    def wait_for(self, path, what, seconds=20):
        """What is shown is up to a fraction of a second old."""
        until = time.monotonic() + seconds
        while True:
            got = self.json(path)
            if what(got):
                return got
            assert time.monotonic() < until, (path, got)
            time.sleep(0.05)


LINE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (NaN|-?[0-9.e+-]+)$')


def parse_metrics(text):
    """Values by (name, labels); fails on what Prometheus would not read."""
    types, values = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            assert len(line.split(" ", 3)[3]) > 10
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == helped and name not in types, name
            assert kind in ("counter", "gauge", "summary")
            types[name] = kind
        else:
            found = LINE.match(line)
            assert found, line
            base = re.sub("_(sum|count)$", "", found[1])
            assert (found[1] if types.get(base) != "summary" else base) in types, line
            labels = tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', found[2] or "")))
            assert (found[1], labels) not in values, line
            values[found[1], labels] = float(found[3])
    for name, kind in types.items():
        assert name.startswith("sluice_")
        assert name.endswith("_total") == (kind == "counter"), name
    return values


def texts(n, prefix="t", start=0):
    words = ["alpha", "river", "stone", "copper", "window", "garden", "signal", "paper", "harvest", "mirror"]
    return [sample(f"{prefix}{i}", f"{prefix} " + " ".join(f"{words[(i * 7 + j * j) % 10]}{i}" for j in range(30)))
            for i in range(start, start + n)]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A filter with a duplicate, a refused sample, hostile text and a picture."""
    filter_ = Watched(tmp_path_factory.mktemp("http"))
    with filter_:
        picture = Image.effect_mandelbrot((200, 100), (-2, -1, 1, 1), 50).convert("RGB")
        raw = io.BytesIO()
        picture.save(raw, "JPEG", comment=b"<script>")
        with Peer(filter_.ingest) as peer:
            peer.hello("p<b>")
            samples = [sample("a", HOSTILE + " " + " ".join(f"w{i}" for i in range(40)), source="<i>s"),
                       sample("b", HOSTILE + " " + " ".join(f"w{i}" for i in range(40)), source="t"),
                       Sample(id="pic", source="t", payload=raw.getvalue(), media_type="image/jpeg"),
                       Sample(id="pic2", source="t", payload=raw.getvalue(), media_type="image/jpeg"),
                       sample("bad\x00id", "x"), sample("a/b c", "a short one")]
            answer = peer.put_acknowledged(0, samples)
            assert (answer.kept, answer.dropped, answer.refused) == (3, 2, 1)
            peer.send(b"\xff\xff", put=session_pb.Put(sequence=6, count=1))
            assert peer.receive()[0] == "error"
        with Peer(filter_.egress) as peer:
            kind, records, _ = peer.fetch(group="trainer", after_commits=True)
            assert kind == "records" and peer.commit("trainer", records.first_offset, 1)[0] == "committed"
        filter_.wait_for("/api/v1/status", lambda status: status["verdicts"])
        yield filter_


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_get_and_head_alike(one, path):
    got, head = one.ask(path), one.ask(path, "HEAD")
    assert (got.status, head.status) == (200, 200)
    assert head.content == b"" and got.content
    for answer in (got, head):
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.getheader("Content-Security-Policy").startswith("default-src 'self';")
        assert "unsafe" not in answer.getheader("Content-Security-Policy")
        assert answer.getheader("Content-Type").startswith("text/html") == (path == "/")


def test_one_connection_serves_many_requests(one):
    line = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
    line.connect()
    first = line.sock.getsockname()
    for path in PATHS * 3:
        line.request("GET", path)
        assert line.getresponse().read()
        assert line.sock is not None and line.sock.getsockname() == first
    line.close()


@pytest.mark.parametrize("path, code", [
    ("/nothing", 404), ("/api/v1/", 404), ("/api/v1/statu", 404), ("/api/v1/status/", 404), ("/%zz", 400),
    ("/a%00b", 400), ("/" + "a" * 2046, 404), ("/" + "a" * 2047, 414), ("/" + "a" * 100_000, None),
    ("/api/v1/explain/", 400), ("/api/v1/explain/" + "x" * 257, 400), ("/api/v1/explain/nobody", 404),
    ("/api/v1/explain/b?offset=0", 404), ("/api/v1/explain/b?offset=99", 404), ("/api/v1/thumbnail/0", 404),
    ("/api/v1/thumbnail/x", 400), ("/api/v1/thumbnail/99", 404), ("/api/v1/top?by=nothing", 400),
    ("/api/v1/top?by=toward.nobody", 400), ("/api/v1/tap?decision=maybe", 400), ("/api/v1/tap?method=smell", 400)])
def test_what_is_not_there_is_a_json_error(one, path, code):
    answer = one.ask(path)
    assert answer.status == code or (code is None and answer.status in (413, 414, 431))
    if code is not None:
        assert answer.getheader("Content-Type") == JSON
        assert set(json.loads(answer.content)) in ({"error"}, {"id", "complete", "found", "records"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_other_methods_are_405(one, method):
    answer = one.ask("/api/v1/status", method, body=b"x" * 5000)
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")
    assert one.ask("/livez").status == 200


def test_body_of_a_get_is_not_read_as_a_request(one):
    answer = one.ask("/livez", body=b"GET /api/v1/config HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 200 and json.loads(answer.content) == {"live": True}


@pytest.mark.parametrize("host, code", [
    ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("evil.example", 403),
    ("127.0.0.1.evil.example", 403), ("localhost.evil.example:9570", 403)])
def test_another_sites_host_is_403(one, host, code):
    for path in PATHS:
        assert one.ask(path, headers={"Host": host}).status == code


def test_status_counts_obey_the_law(one):
    status = one.json("/api/v1/status")
    assert status["producers"][0]["producer"] == "p<b>" and status["ready"] is True
    for counts in (status["total"], status["since_start"], status["producers"][0]):
        assert (counts["received"], counts["kept"], counts["dropped"], counts["refused"]) == (6, 3, 2, 1)
        assert_law(counts)
    outcomes = {(row["decision"], row["reason"]): row["n"] for row in status["verdicts"]}
    assert outcomes[("keep", "")] == 3 and outcomes[("drop", "duplicate")] == 2
    group = status["groups"][0]
    assert (group["group"], group["floor_offset"], group["lag"]) == ("trainer", 1, 4) and group["lag_s"] > 0


def assert_law(counts):
    assert counts["received"] == sum(counts[name] for name in (
        "kept", "flagged", "dropped", "refused", "redelivered", "in_flight")), counts


def test_metrics_say_the_same(one):
    values = one.metrics()
    assert values["sluice_component_received_events_total", (("component", "ingest"),)] == 6
    assert values["sluice_verdicts_total", (("decision", "drop"), ("reason", "duplicate"))] == 2
    assert values["sluice_component_errors_total", (("component", "ingest"), ("reason", "undecodable"))] == 1
    assert values["sluice_lag_events", (("group", "trainer"),)] == 4
    assert values["sluice_source_events_total", (("decision", "keep"), ("source", "<i>s"))] == 1
    assert values["sluice_dlq_events_total", ()] == 1
    assert values["sluice_start_time_seconds", ()] == pytest.approx(time.time(), abs=600)


def test_portfolio_equals_a_recount(one):
    got = one.wait_for("/api/v1/portfolio", lambda got: accepted(got) == 5)
    rows = {row["source"]: row for row in got["sources"]}
    assert rows["<i>s"]["kept"] == 1 and rows["t"]["dropped"] == 2 and rows["t"]["duplicates"] == 2
    done = subprocess.run([SLUICE, "report", "--state", str(one.state), "--json"], capture_output=True)
    assert {row["source"] for row in json.loads(done.stdout)["portfolio"]["sources"]} <= set(rows)


def accepted(portfolio):
    return sum(row["kept"] + row["flagged"] + row["dropped"] for row in portfolio["sources"])


def test_duplicates_show_both_texts_and_markup_stays_text(one):
    pairs = one.json("/api/v1/duplicates?n=5")["pairs"]
    assert [pair["sample"]["record"]["id"] for pair in pairs] == ["pic2", "b"]
    text = pairs[1]
    assert text["sample"]["text"].startswith(HOSTILE) and text["of"]["text"].startswith(HOSTILE)
    assert text["of"]["record"]["id"] == "a" and text["of"]["record"]["source"] == "<i>s"
    assert pairs[0]["sample"]["text"] is None
    assert len(one.json("/api/v1/duplicates?n=1")["pairs"]) == 1


def test_thumbnail_is_a_picture_of_our_own_making(one):
    pair = one.json("/api/v1/duplicates?n=1")["pairs"][0]
    answer = one.ask(pair["of"]["thumbnail"])
    assert (answer.status, answer.getheader("Content-Type")) == (200, "image/png")
    assert b"script" not in answer.content
    small = Image.open(io.BytesIO(answer.content))
    assert small.size == (96, 48) and small.mode == "RGB"


def test_explain_equals_the_verb(one):
    for name in ("a", "b", "a/b c"):
        done = subprocess.run([SLUICE, "explain", name, "--state", str(one.state), "--json"], capture_output=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        path = "/api/v1/explain/" + name.replace(" ", "%20")
        got = one.json(path)
        assert got["complete"] is True and got["records"] == lines and len(lines) == 1
        assert one.json(f"{path}?offset={lines[0]['offset']}")["records"] == lines


def test_recent_has_a_column_of_equal_length_for_every_number(one):
    recent = one.json("/api/v1/recent")
    assert set(recent) == {"offset", "decision", "similarity", "loss", "self", "leverage", "source_shift"}
    assert recent["offset"] == sorted(recent["offset"], reverse=True) and len(recent["offset"]) == 5
    assert {len(column) for column in recent.values()} == {5}
    dropped = [value is not None for value in recent["similarity"]]
    assert dropped == [decision == "drop" for decision in recent["decision"]] and sum(dropped) == 2


def test_config_names_thresholds_and_rules(one):
    config = one.json("/api/v1/config")
    assert {"when": "duplicate", "do": "drop", "reason": "duplicate"} in config["rules"]
    assert len(config["thresholds"]["text"]) > 3 and all(0 < value <= 1 for value in config["thresholds"]["text"])
    assert {0.65, 0.8} <= {round(value, 3) for value in config["thresholds"]["text"]}  # of news, and of brief ones
    assert config["thresholds"]["image"] == 0.94
    assert one.json("/api/v1/status")["fairness"] is None


def test_fairness_is_said_by_group(tmp_path):
    with Watched(tmp_path, fairness="{group_by: sample.source, max_ratio: 2, min_samples: 10}") as filter_, Peer(filter_.ingest) as peer:
        peer.hello("p")
        peer.put_acknowledged(0, [sample(f"a{i}", f"all of these are the same text {i % 4 * 'again '}", source="a") for i in range(20)])
        peer.put_acknowledged(20, [sample(f"b{i}", f"word{i} other{i} new{i} text{i}", source="<b>") for i in range(20)] + [sample("b", "word1 other1 new1 text1", source="<b>")])
        fairness = filter_.wait_for("/api/v1/status", lambda status: sum(group["received"] for group in status["fairness"]["groups"]) == 41)["fairness"]
    assert (fairness["group_by"], fairness["max_ratio"], fairness["unfair"], fairness["high"], fairness["low"]) == ("sample.source", 2, True, "a", "<b>")
    a, b = fairness["groups"]
    assert (a["group"], b["group"], a["received"], b["received"], b["dropped"]) == ("a", "<b>", 20, 21, 1)
    assert fairness["ratio"] > 2 and a["dropped"] >= 15


def test_config_hides_what_is_secret(one, tmp_path):
    yaml = one.json("/api/v1/config")["yaml"]
    assert "http_token: \"\"" in yaml and f"127.0.0.1:{one.port}" in yaml


def read_events(line, until, seconds=20):
    """Server-sent events as (event, id, data), until `until` says so."""
    events, text = [], b""
    line.settimeout(seconds)
    while not until(events):
        text += line.recv(65536)
        *whole, text = text.split(b"\n\n")
        for block in whole:
            fields = dict(part.split(": ", 1) for part in block.decode().split("\n") if ": " in part and part[0] != ":")
            if "data" in fields:
                events.append((fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])))
    return events


def open_tap(filter_, query="", headers=""):
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    line.settimeout(20)
    line.connect(("127.0.0.1", filter_.port))
    line.sendall(f"GET /api/v1/tap{query} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n".encode())
    head = b""
    while b": verdict records" not in head:
        more = line.recv(1)
        assert more, head
        head += more
    assert b"200 OK" in head and b"text/event-stream" in head
    return line


def test_tap_shows_records_as_they_come(tmp_path):
    with Watched(tmp_path) as filter_, Peer(filter_.ingest) as peer:
        peer.hello("p")
        every, drops, of_t = open_tap(filter_), open_tap(filter_, "?decision=drop"), open_tap(filter_, "?source=t")
        refused = open_tap(filter_, "?decision=refuse")
        peer.put_acknowledged(0, [sample("a", HOSTILE), sample("b", HOSTILE), sample("c", "other", source="t"),
                                  sample("", "no id")])
        got = read_events(every, lambda events: len(events) == 4)
        assert {data["id"] for _, _, data in got} == {"a", "b", "c", ""}
        assert [event_id for _, event_id, data in got if data["id"] == "b"] == ["1"]
        recv = subprocess.run([SLUICE, "explain", "b", "--state", str(filter_.state), "--json"], capture_output=True)
        assert [data for _, _, data in got if data["id"] == "b"] == [json.loads(recv.stdout)]
        for line, name in ((drops, "b"), (of_t, "c"), (refused, "")):
            assert [data["id"] for _, _, data in read_events(line, len)] == [name]
        for line in (every, drops, of_t, refused):
            line.close()


def test_tap_slow_watcher_is_told_its_gap_and_holds_nobody_up(tmp_path):
    """Records of 1.2 KB, more than the buffers of any socket hold."""
    n = 6000
    with Watched(tmp_path) as filter_, Peer(filter_.ingest) as peer:
        peer.hello("p")
        slow = open_tap(filter_)
        for start in range(0, n, 500):
            peer.put_acknowledged(start, [sample(f"{i:0250}", "the same text", source="s" * 250)
                                          for i in range(start, start + 500)])
            time.sleep(0.06)
        assert filter_.ask("/livez").status == 200
        until = time.monotonic() + 30

        def told(events):
            return sum(data["lost"] + data["skipped"] if event == "gap" else 1 for event, _, data in events)
        got = read_events(slow, lambda events: told(events) >= n or time.monotonic() > until, 30)
        assert any(event == "gap" for event, _, _ in got) and told(got) == n
        slow.close()


def test_tap_says_how_many_records_it_did_not_look_at(tmp_path):
    with Watched(tmp_path) as filter_, Peer(filter_.ingest) as peer:
        peer.hello("p")
        line = open_tap(filter_)
        peer.put_acknowledged(0, [sample(f"{i}", f"word{i}") for i in range(4000)])

        def told(events):
            return sum(data["lost"] + data["skipped"] if event == "gap" else 1 for event, _, data in events)
        got = read_events(line, lambda events: told(events) >= 4000)
        assert told(got) == 4000 and sum(data["skipped"] for event, _, data in got if event == "gap") == 4000 - 256
        assert [data["id"] for event, _, data in got if event == "message"][-1] == "3999"
        line.close()


def test_tap_sixteen_may_watch(tmp_path):
    with Watched(tmp_path) as filter_, Peer(filter_.ingest) as peer:
        lines = [open_tap(filter_) for _ in range(16)]
        assert filter_.ask("/api/v1/tap").status == 503
        for line in lines:
            line.close()
        peer.hello("p")
        until = time.monotonic() + 20
        for i in range(1000):  # who is gone is found out when something is sent
            peer.put_acknowledged(i, [sample(f"{i}", f"word{i}")])
            values = filter_.json("/api/v1/status")["process"]
            if values["watchers"] == 0:
                break
            assert time.monotonic() < until
            time.sleep(0.05)


def test_stop_ends_open_taps_and_searches(tmp_path):
    with Watched(tmp_path) as filter_:
        line = open_tap(filter_)
        filter_.stop()
        line.settimeout(20)
        while line.recv(4096):
            pass
        line.close()


def test_influence_is_shown_and_ranked(tmp_path):
    import numpy
    random = numpy.random.default_rng(5)
    with Watched(tmp_path, duplicate__enabled="false", influence__references="[{name: r, source: s, samples: 300}]",
                 influence__expert__warmup="256") as filter_, Peer(filter_.ingest) as peer:
        peer.hello("p")
        n = 1024
        basis = random.normal(size=(4, 16))
        for start in range(0, n, 256):
            batch = []
            for i in range(start, start + 256):
                anchor = random.normal(size=4) @ basis + .1 * random.normal(size=16)
                one_sample = Sample(id=f"v{i}", source="s", encoder="e@1")
                for k in range(3):
                    tensor = one_sample.views.add().embedding
                    row = (anchor + .1 * random.normal(size=16)).astype("<f4")
                    tensor.type, tensor.data = 1, row.tobytes()
                    tensor.shape.append(16)
                batch.append(one_sample)
            peer.put_acknowledged(start, batch)
        status = filter_.wait_for("/api/v1/status", lambda got: got["influence"] and
                                  got["influence"][0]["samples"] == n)
        encoder = status["influence"][0]
        assert (encoder["encoder"], encoder["views"], encoder["dimension"]) == ("e@1", 3, 16)
        assert encoder["state"] == "live" and encoder["refreshes"] >= 1
        for by in ("self", "leverage", "loss", "toward.r"):
            top = filter_.wait_for(f"/api/v1/top?by={by}&n=7", lambda got: got["scored"] > 0)
            values = [row["value"] for row in top["samples"]]
            assert len(values) == 7 and values == sorted(values, reverse=True)
            record = top["samples"][0]["sample"]["record"]["influence"]
            said = record["toward"]["r"] if by == "toward.r" else record[by]
            assert values[0] == pytest.approx(said, rel=1e-6)
        least = filter_.json("/api/v1/top?by=self&n=7&order=asc")["samples"]
        assert least[0]["value"] <= least[-1]["value"] < values[0]
        shown = filter_.metrics()
        assert shown["sluice_influence_state", (("encoder", "e@1"), ("state", "live"))] == 1


# --- who may ask ---

def test_token_is_asked_for(tmp_path):
    token = "0123456789abcdef0123456789abcdef"
    path = tmp_path / "token"
    path.write_text(token + "\n")
    with Watched(tmp_path, security__http_token=path) as filter_:
        good = {"Authorization": f"Bearer {token}"}
        basic = {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}
        wrong = {"Authorization": f"Bearer {token}x"}
        for path in PATHS + ["/api/v1/explain/a", "/api/v1/thumbnail/0", "/api/v1/tap", "/nothing"]:
            for headers in ({}, wrong):
                answer = filter_.ask(path, headers=headers)
                open_to_all = path in ("/livez", "/readyz")
                assert answer.status == (200 if open_to_all else 401), path
                assert open_to_all or answer.getheader("WWW-Authenticate").startswith("Basic ")
        for headers in (good, basic):
            assert filter_.ask("/api/v1/status", headers=headers).status == 200
            assert filter_.ask("/nothing", headers=headers).status == 404
        shown = filter_.ask("/api/v1/config", headers=good).content.decode()
        assert token not in shown and "(set, not shown)" in shown
        assert token not in filter_.text()


def test_beyond_loopback_needs_a_token(tmp_path):
    words = [SLUICE, "run", "--set", f"state={tmp_path / 'state'}", "--set", "listen.http=0.0.0.0:0",
             "--set", "listen.ingest=", "--set", "listen.egress="]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78 and "security.http_token" in done.stderr
    short = tmp_path / "short"
    short.write_text("too short\n")
    for path in (short, tmp_path / "none"):
        done = subprocess.run([*words, "--set", f"security.http_token={path}"], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 78 and "security.http_token" in done.stderr and str(path) in done.stderr


def test_taken_port_is_said(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run([SLUICE, "run", "--set", f"state={tmp_path / 'state'}", "--set",
                               f"listen.http=127.0.0.1:{port}", "--set", "listen.ingest=", "--set", "listen.egress="],
                              capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "listen.http" in done.stderr and "in use" in done.stderr


# --- held off ---

def test_a_hundred_connections_at_once(one):
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        codes = list(pool.map(lambda i: one.ask(PATHS[i % len(PATHS)]).status, range(300)))
    assert codes == [200] * 300


def test_slow_requests_are_cut_and_hold_nobody_up(one):
    """Each sends a byte a second, which no timeout of silence would end."""
    lines = [socket.create_connection(("127.0.0.1", one.port), 20) for _ in range(100)]
    for line in lines:
        line.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    began = time.monotonic()
    gone = set()
    while len(gone) < len(lines):
        assert one.ask("/livez").status == 200
        for line in lines:
            try:
                line.sendall(b"x")
                line.setblocking(False)
                if line.recv(100) == b"":
                    gone.add(line)
            except BlockingIOError:
                pass
            except OSError:
                gone.add(line)
            finally:
                line.setblocking(True)
        assert time.monotonic() - began < 25
        time.sleep(0.5)
    assert time.monotonic() - began > 10
    for line in lines:
        line.close()


def test_large_headers_are_refused(one):
    answer = one.ask("/livez", headers={"X-Large": "x" * 60000})
    assert answer.status in (413, 431)
    assert one.ask("/livez").status == 200


def test_garbage_ends_its_connection_only(one):
    for text in (b"\x00" * 1000, b"\x16\x03\x01\x02\x00"):  # no end of a line: gone before it is cut
        with socket.create_connection(("127.0.0.1", one.port), 20) as line:
            line.sendall(text)
    for text in (b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", one.port), 20) as line:
            line.sendall(text)
            try:
                answer = line.recv(4096)
            except ConnectionResetError:
                answer = b""
            assert answer[:12] == b"" or int(answer.split(b" ")[1]) >= 400, (text, answer)
    assert one.ask("/livez").status == 200


# --- while the stream runs ---

def test_law_holds_at_every_scrape_through_kills(tmp_path):
    """received = kept + flagged + dropped + refused + redelivered + in flight, per producer too; counters never go
    back while a process lives, and begin again with it."""
    filter_ = Watched(tmp_path)
    n_kills, sequence = (1 if QUICK else 3), 0
    for kill in range(n_kills + 1):
        with filter_, Peer(filter_.ingest) as peer:
            kind, welcome, _ = peer.hello("p")
            assert kind == "welcome"
            sequence = welcome.next_sequence
            last = {}
            before = filter_.json("/api/v1/status")["total"]["received"]
            assert before == sequence
            for _ in range(15):
                for _ in range(8):
                    batch = texts(50, start=sequence // 2) + [sample("", "refused")]
                    peer.put(sequence, batch)
                    sequence += len(batch)
                values = filter_.metrics()
                assert_metrics_law(values)
                for key, value in values.items():
                    if key[0].endswith("_total"):
                        assert value >= last.get(key, 0), key
                last = values
                status = filter_.json("/api/v1/status")
                for counts in [status["total"], status["since_start"], *status["producers"]]:
                    assert_law(counts)
            if kill < n_kills:
                filter_.kill()
            else:
                settled = filter_.wait_for("/api/v1/status", lambda got: got["producers"][0]["next_sequence"] == sequence)
                assert settled["total"]["received"] == sequence and settled["total"]["in_flight"] == 0
                n_accepted = settled["log"]["next_offset"]
                filter_.wait_for("/api/v1/portfolio", lambda got: accepted(got) == n_accepted)


def assert_metrics_law(values):
    rows = {}
    for (name, labels), value in values.items():
        labels = dict(labels)
        if name == "sluice_producer_events_total":
            rows.setdefault(labels["producer"], {})[labels["outcome"]] = value
        elif name == "sluice_producer_inflight_events":
            rows.setdefault(labels["producer"], {})["in_flight"] = value
    for counts in rows.values():
        assert_law(counts)
    total = values["sluice_component_received_events_total", (("component", "ingest"),)]
    assert total == sum(counts["received"] for counts in rows.values())


def test_ready_turns_false_when_the_log_is_full(tmp_path):
    with Watched(tmp_path, spool__max_bytes="16MiB") as filter_, Peer(filter_.ingest, timeout_ms=3000) as peer:
        with Peer(filter_.egress) as reader:
            reader.fetch(group="holds", after_commits=True)
            reader.commit("holds", 0, 0)
        peer.hello("p")
        sequence = 0
        until = time.monotonic() + 60
        while filter_.ask("/readyz").status == 200 and time.monotonic() < until:
            batch = [sample(f"{sequence + i}", f"{sequence + i} " + "x" * 200_000) for i in range(5)]
            peer.put(sequence, batch)
            kind, answer, _ = peer.receive()
            sequence = answer.next_sequence if kind == "ack" else sequence
        answer = filter_.ask("/readyz")
        assert answer.status == 503 and "full" in json.loads(answer.content)["why"]
        assert filter_.ask("/livez").status == 200


# --- counters, alerts, fairness, reload ---

def test_counters_of_the_duplicate_stage_are_the_same_everywhere(one):
    methods = {row["method"]: row["counters"] for row in one.json("/api/v1/status")["duplicates"]}
    values = one.metrics()
    assert set(methods) == {"exact", "text", "image", "embedding"}
    assert methods["exact"]["rows"] == 3 and methods["exact"]["probes"] == 5
    for method, counters in methods.items():
        assert counters.pop("recall") is None and counters["memory_bytes"] > 0
        counters["oldest_arrived_seconds"] = counters.pop("oldest_arrived_us") / 1e6
        for name, value in counters.items():
            got = [values.get((f"sluice_duplicate_{name}{end}", (("method", method),))) for end in ("", "_total")]
            assert pytest.approx(value) in got and None in got, (method, name)


def wait_log(filter_, says, n=1):
    until = time.monotonic() + 20
    while filter_.text().count(says) < n:
        assert time.monotonic() < until, (says, filter_.text()[-2000:])
        time.sleep(0.02)
    return [line for line in filter_.text().splitlines() if says in line]


def test_alert_is_raised_and_cleared_in_log_api_and_metrics(tmp_path):
    """A source that was new every time begins to send copies; then it is new again."""
    fresh = texts(6000, "w\u00f6")
    copies = [sample(f"c{i}", fresh[i % 40].payload.decode()) for i in range(300)]
    other = [sample(f"d{i}", fresh[4000 + i if i < 2000 else i % 40].payload.decode(), source="t") for i in range(2300)]
    stream = fresh[:2000] + copies + fresh[2000:4000] + other
    series = ("sluice_alert", (("kind", "duplicates"), ("source", "s")))
    with Watched(tmp_path) as filter_, Peer(filter_.ingest, timeout_ms=60000) as peer:
        peer.hello("p")
        put = 0

        def put_until(end):
            nonlocal put
            while put < end:
                n = min(100, end - put)
                peer.put_acknowledged(put, stream[put:put + n])
                put += n
        put_until(2000)
        assert filter_.json("/api/v1/alerts") == [] and "ALERT-" not in filter_.text()
        put_until(2300)
        alerts = filter_.wait_for("/api/v1/alerts", lambda alerts: len(alerts) == 2)
        assert {(alert["kind"], alert["source"], alert["holds"]) for alert in alerts} == {
            ("duplicates", "s", True), ("duplicates", None, True)}
        assert all(2000 <= alert["offset"] < 2300 and alert["value"] > alert["limit"] > alert["usual"] for alert in alerts)
        values = filter_.metrics()
        assert values[series] == 1 and values["sluice_alerts_raised_total", ()] == 2
        raised = wait_log(filter_, "ALERT-RAISED", 2)
        assert [re.search(r"kind=(\w+) source=(\S+) offset=(\d+) ", line).groups() for line in raised] == [
            (alert["kind"], alert["source"] or "(all)", str(alert["offset"])) for alert in reversed(alerts)]
        assert "ALERT-CLEARED" not in filter_.text()
        filter_.stop()
        filter_.start()  # holds on, and is not said again
        assert filter_.metrics()[series] == 1
        peer_again = Peer(filter_.ingest, timeout_ms=60000)
        with peer_again as peer:
            peer.hello("p")
            put_until(6300)
            wait_log(filter_, "ALERT-CLEARED", 2)
            assert filter_.text().count("ALERT-RAISED") == 2
            put_until(len(stream))
        wait_log(filter_, "kind=duplicates source=t ")
        wait_log(filter_, "ALERT-RAISED", 4)  # again in the stream as a whole: the first burst is not held usual
        cleared = wait_log(filter_, "ALERT-CLEARED", 2)
        assert len(cleared) == 2 and filter_.text().count("ALERT-RAISED") == 4  # each once
        assert all(2300 < int(re.search(r"offset=(\d+)", line)[1]) < 6300 for line in cleared)
        alerts = filter_.wait_for("/api/v1/alerts", lambda alerts: len(alerts) == 4)
        assert {(alert["source"], alert["holds"]) for alert in alerts[:2]} == {("t", True), (None, True)}
        assert not alerts[2]["holds"] and not alerts[3]["holds"]
        values = filter_.metrics()
        assert series not in values and values["sluice_alerts_raised_total", ()] == 4
        assert values["sluice_alert", (("kind", "duplicates"), ("source", "t"))] == 1


def test_fairness_is_shown_with_its_groups(tmp_path):
    with Watched(tmp_path, fairness="{group_by: attributes.region, max_ratio: 1.25, min_samples: 50}") as filter_:
        with Peer(filter_.ingest, timeout_ms=60000) as peer:
            peer.hello("p")
            samples = [sample(f"n{i}", f"word{i} " * 30, attributes={"region": "no\"rth"}) for i in range(100)]
            samples += [sample(f"s{i}", "the same text", attributes={"region": "south"}) for i in range(100)]
            samples += [sample(f"o{i}", f"other{i} " * 30, attributes={"region": "(other)"}) for i in range(3)]
            samples += [sample("x", "no region")]
            peer.put_acknowledged(0, samples)
        status = filter_.wait_for("/api/v1/status", lambda status: len(status["fairness"]["groups"]) == 4)
        fairness = status["fairness"]
        assert fairness["group_by"] == "attributes.region" and fairness["unfair"] is True and fairness["ratio"] > 100
        assert {group["group"]: (group["received"], group["dropped"]) for group in fairness["groups"]} == {
            'no"rth': (100, 0), "south": (100, 99), "(other)": (3, 0), "(none)": (1, 0)}
        values = filter_.metrics()
        assert values["sluice_fairness_unfair", ()] == 1
        assert values["sluice_fairness_ratio", ()] == pytest.approx(fairness["ratio"])
        assert values["sluice_fairness_events_total", (("outcome", "dropped"), ("value", "south"))] == 99
        assert values["sluice_fairness_events_total", (("outcome", "received"), ("value", 'no\\"rth'))] == 100
        assert "FAIRNESS-UNEQUAL" in filter_.text()


class WatchedReload(Reloaded, Watched):
    pass


def test_reload_that_the_engine_cannot_take_is_no_success_and_is_tried_again(tmp_path):
    old = "policy: [{when: duplicate, do: drop, reason: duplicate}]\n"
    new = old + "budget: {keep_fraction: 0.5, by: sample.bytes}\n"
    filter_ = WatchedReload(tmp_path, environment={"SLUICE_FAULT": "policy.change:1:enospc"})
    filter_.write(old)
    with filter_, Peer(filter_.ingest, timeout_ms=60000) as peer:
        peer.hello("p")
        filter_.reload(new, "RELOAD-TAKEN")
        peer.put_acknowledged(0, texts(10))
        if "POLICY-REFUSED" not in filter_.text():
            pytest.skip("a build without fault points")
        assert filter_.metrics()["sluice_config_reload_success", ()] == 0
        assert filter_.json("/api/v1/status")["reload_refused"]
        filter_.reload(new, "RELOAD-TAKEN")  # not RELOAD-SAME: it does not hold
        peer.put_acknowledged(10, texts(300, start=10))
        assert filter_.metrics()["sluice_config_reload_success", ()] == 1
        assert "POLICY-CHANGED" in filter_.text()
        filter_.stop()


def test_reload_shows_when_it_holds_and_counts_at_once(tmp_path):
    def hash_of(values):
        return [dict(labels)["config_hash"] for name, labels in values if name == "sluice_build_info"][0]
    old = "policy: [{when: duplicate, do: drop, reason: duplicate}]\n"
    new = old + "budget: {keep_fraction: 0.5, by: sample.bytes}\n"
    filter_ = WatchedReload(tmp_path)
    filter_.write(old)
    with filter_, Peer(filter_.ingest, timeout_ms=60000) as peer:
        peer.hello("p")
        peer.put_acknowledged(0, texts(50))
        before = filter_.json("/api/v1/config")
        status = filter_.json("/api/v1/status")
        assert status["config_hash"] == before["hash"] == hash_of(filter_.metrics())
        assert f"policy={status['policy_hash']}" in filter_.text() and status["reloads"] == 0
        filter_.reload(new, "RELOAD-TAKEN")
        peer.put_acknowledged(50, texts(50, start=50))
        assert filter_.json("/api/v1/config") == before  # it holds from the next block on
        assert filter_.metrics()["sluice_config_reload_total", ()] == 1
        peer.put_acknowledged(100, texts(200, start=100))
        after = filter_.wait_for("/api/v1/config", lambda config: config["hash"] != before["hash"])
        assert "keep_fraction: 0.5" in after["yaml"] and "keep_fraction: 0.5" not in before["yaml"]
        status = filter_.json("/api/v1/status")
        assert status["config_hash"] == after["hash"] == hash_of(filter_.metrics())
        assert f"offset=256 policy={status['policy_hash']}" in filter_.text()
        filter_.reload("policy: [nonsense]\n", "RELOAD-REFUSED")
        filter_.wait_for("/api/v1/status", lambda status: status["reloads"] == 2 and status["reload_refused"])
        assert filter_.metrics()["sluice_config_reload_success", ()] == 0
        filter_.reload(new, "RELOAD-SAME")
        filter_.wait_for("/api/v1/status", lambda status: status["reloads"] == 3 and not status["reload_refused"])
        assert filter_.json("/api/v1/config") == after
        filter_.stop()
    filter_.write(old)
    with filter_:  # the hash is that of the file, whatever the state saw
        assert filter_.json("/api/v1/config") == before
