"""client_verbs_test.py - send, recv, explain, state and keygen as a person calls them."""

import json
import subprocess
import time

import pytest

from harness import SLUICE, Filter


@pytest.fixture
def running(tmp_path):
    with Filter(tmp_path) as one:
        yield one


def sluice(*words, code=0, stdin=None):
    done = subprocess.run([SLUICE, *map(str, words)], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def text_of(i):
    return " ".join(f"word{(i * 7919 + k * k * 31) % 100003}" for k in range(40))


def lines_of(n, start=0, name="t"):
    return "".join(json.dumps({"id": f"{name}{i}", "source": "s", "text": text_of(i)}) + "\n" for i in range(start, n))


def send(running, *words, **more):
    return json.loads(sluice("send", "--to", running.ingest, "--json", *words, **more).stdout)


def recv(running, *words, **more):
    done = sluice("recv", "--from", running.egress, *words, **more)
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- send ---

def test_send_then_recv_gives_the_samples_with_their_verdicts(running, tmp_path):
    counts = send(running, stdin=lines_of(500))
    assert counts["kept"] == counts["acknowledged"] == counts["read"] == 500 and counts["complete"]
    got = recv(running, "--verdicts", tmp_path / "v.jsonl")
    assert [line["id"] for line in got] == [f"t{i}" for i in range(500)]
    assert got[3]["text"] == text_of(3) and got[3]["sluice"]["decision"] == "keep"
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert verdicts == [line["sluice"] for line in got]
    assert recv(running) == []


def test_send_same_producer_and_input_goes_on_where_it_stopped(running, tmp_path):
    (tmp_path / "in.jsonl").write_text(lines_of(100))
    send(running, "--producer", "web", tmp_path / "in.jsonl")
    (tmp_path / "in.jsonl").write_text(lines_of(150))
    counts = send(running, "--producer", "web", tmp_path / "in.jsonl")
    assert (counts["skipped"], counts["sent"], counts["kept"], counts["redelivered"]) == (100, 50, 50, 0)
    done = sluice("send", "--to", running.ingest, "--producer", "web", tmp_path / "in.jsonl")
    assert "150 samples of producer 'web'" in done.stderr
    (tmp_path / "short.jsonl").write_text(lines_of(3))
    done = sluice("send", "--to", running.ingest, "--producer", "web", tmp_path / "short.jsonl")
    assert "is it the same input?" in done.stderr
    counts = send(running, "--producer", "web", "--no-skip", tmp_path / "short.jsonl")
    assert (counts["skipped"], counts["redelivered"]) == (0, 3)


def test_send_without_a_producer_sends_every_input(running):
    send(running, stdin=lines_of(10))
    assert send(running, stdin=lines_of(25, 10))["kept"] == 15
    assert send(running, stdin=lines_of(25))["redelivered"] == 25
    assert len(recv(running)) == 25


def test_send_bad_lines_are_named_and_the_rest_is_sent(running):
    bad = '{"id": "n", "text": 5}\n' + json.dumps({"id": "x" * 300, "text": "a long id"}) + "\nnot json\n"
    done = sluice("send", "--to", running.ingest, stdin=lines_of(2) + bad + lines_of(4, 2))
    assert "4 kept" in done.stdout and "1 refused" in done.stdout and "2 of the input were not sent" in done.stdout
    assert ":3 refused: wrong_type" in done.stderr and ":5 refused" in done.stderr
    assert "sample 2 refused: id_too_long" in done.stderr


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_send_batches_do_not_change_what_is_kept(running, batch):
    twice = lines_of(200) + lines_of(300, 100, "u")
    counts = send(running, "--batch", batch, stdin=twice)
    assert (counts["kept"], counts["dropped"]) == (300, 100)


def test_send_filter_killed_in_the_middle_loses_nothing(running):
    command = [SLUICE, "send", "--to", running.ingest, "--producer", "p", "--batch", "20", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        for part in range(20):
            sender.stdin.write(lines_of((part + 1) * 500, part * 500))
            sender.stdin.flush()
            if part % 5 == 2:
                running.kill()
                running.start()
        counts = json.loads(sender.communicate(timeout=60)[0])
    assert counts["acknowledged"] == 10000
    ids = [line["id"] for line in recv(running, "--offset", 0, "--bare")]
    assert ids == [f"t{i}" for i in range(10000)]


def test_send_sender_killed_in_the_middle_is_resumed(running, tmp_path):
    (tmp_path / "in.jsonl").write_text(lines_of(5000))
    command = [SLUICE, "send", "--to", running.ingest, "--producer", "p", "--batch", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as sender:
        sender.stdin.write(lines_of(2000))
        sender.stdin.flush()
        while json.loads(running.state_command("ls", "--json"))["next_offset"] < 500:
            time.sleep(0.01)
        sender.kill()
    time.sleep(0.2)  # what was under way becomes durable
    counts = send(running, "--producer", "p", tmp_path / "in.jsonl")
    assert 500 <= counts["skipped"] <= 2000
    assert counts["skipped"] + counts["acknowledged"] == 5000
    ids = [line["id"] for line in recv(running, "--offset", 0, "--bare")]
    assert ids == [f"t{i}" for i in range(5000)]


def test_send_nobody_there_is_a_temporary_failure(tmp_path):
    done = sluice("send", "--to", "tcp://127.0.0.1:9", "--timeout", "0.3", code=75, stdin=lines_of(1))
    assert "tcp://127.0.0.1:9" in done.stderr
    assert "tcp://127.0.0.1:9" in sluice("recv", "--from", "tcp://127.0.0.1:9", "--timeout", "0.3", code=75).stderr


@pytest.mark.parametrize("words", [["send", "--batch", "0"], ["send", "--batch", "4097"], ["send", "--nonsense"],
                                   ["send", "--to"], ["recv", "-n", "x"], ["recv", "--all", "--group", "g"],
                                   ["recv", "--timeout", "0"], ["explain"], ["state"], ["state", "nonsense"],
                                   ["explain", "a", "--state", "x", "--verdicts", "y"], ["state", "forget"],
                                   ["state", "ls", "--show", "1"], ["keygen", "--rights", "fly"],
                                   ["keygen", "-o", "a b.key"]])
def test_wrong_words_are_a_usage_error(words):
    assert sluice(*words, code=64, stdin="").stderr


@pytest.mark.parametrize("verb", ["send", "recv", "explain", "state", "keygen"])
def test_help_of_every_verb(verb):
    assert f"usage: sluice {verb}" in sluice(verb, "--help").stdout


# --- recv ---

def test_recv_n_takes_exactly_n_and_leaves_the_rest_to_the_next(running):
    send(running, stdin=lines_of(100))
    ids = []
    for n in (1, 7, 40):
        part = recv(running, "-n", n, "--group", "g")
        assert len(part) == n
        ids += [line["id"] for line in part]
    ids += [line["id"] for line in recv(running, "--group", "g")]
    assert ids == [f"t{i}" for i in range(100)]


def test_recv_all_shows_dropped_samples_and_commits_nothing(running):
    send(running, stdin=lines_of(5) + lines_of(3, name="u"))
    assert [line["sluice"]["decision"] for line in recv(running, "--all")] == ["keep"] * 5 + ["drop"] * 3
    assert len(recv(running, "--all", "--offset", 6)) == 2
    assert len(recv(running)) == 5


def test_recv_verdicts_to_standard_output_come_in_place_of_the_samples(running, tmp_path):
    send(running, stdin=lines_of(3))
    recv(running, "--group", "a", "--verdicts", tmp_path / "v.jsonl")
    done = subprocess.run([SLUICE, "recv", "--from", running.egress, "--group", "b", "--verdicts", "-"], capture_output=True,
                          cwd=tmp_path, check=True)
    assert done.stdout == (tmp_path / "v.jsonl").read_bytes() and done.stdout.count(b"\n") == 3
    assert not (tmp_path / "-").exists()


def test_recv_follow_waits_for_more(running):
    command = [SLUICE, "recv", "--from", running.egress, "--follow", "-n", "3", "--bare"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        for i in range(3):
            send(running, stdin=lines_of(i + 1, i))
            assert json.loads(reader.stdout.readline())["id"] == f"t{i}"
        assert reader.wait(20) == 0


# --- explain, state ---

def test_explain_shows_both_texts_of_a_duplicate(running, tmp_path):
    text = text_of(1)
    near = {"id": "near", "source": "web", "text": text + " indeed"}
    brief = [{"id": f"brief{i}", "source": "web", "text": text_of(7)[:200] + i * " also"} for i in range(2)]
    send(running, "--producer", "p", stdin=lines_of(2) + "".join(json.dumps(one) + "\n" for one in (near, *brief)))
    words = sluice("explain", "near", "--state", running.state).stdout
    for part in ("was dropped", "of 't1' (source 's')", "by text", "producer 'p'", "offset 2", "the kept one, offset 1",
                 "judged as", "duplicates from 0.65 on"):
        assert part in words, words
    assert any(line.count(text[:40]) == 2 for line in words.splitlines())
    assert "duplicates from 0.8 on" in sluice("explain", "brief1", "--state", running.state).stdout
    record = json.loads(sluice("explain", "near", "--state", running.state, "--json").stdout)
    assert record["duplicate"]["of"] == "t1"
    recv(running, "--all", "--verdicts", tmp_path / "v.jsonl")
    assert json.loads(sluice("explain", "near", "--verdicts", tmp_path / "v.jsonl", "--json").stdout) == record
    assert "of 't1'" in sluice("explain", "near", "--verdicts", tmp_path / "v.jsonl").stdout


def test_explain_refused_and_unknown_samples(running):
    send(running, stdin=json.dumps({"id": "r", "source": "y" * 300, "text": "source too long"}) + "\n")
    assert "was refused" in sluice("explain", "r", "--state", running.state).stdout
    assert json.loads(sluice("explain", "r", "--state", running.state, "--json").stdout)["decision"] == "refuse"
    done = sluice("explain", "unknown", "--state", running.state, code=1)
    assert str(running.state) in done.stderr


def test_explain_all_samples_of_an_id_newest_last(running):
    for producer in ("p", "q"):
        send(running, "--producer", producer, stdin=lines_of(1))
    records = sluice("explain", "t0", "--state", running.state, "--json").stdout.splitlines()
    assert [json.loads(record)["decision"] for record in records] == ["keep", "drop"]


def test_state_ls_verify_digest_dead(running, tmp_path):
    bad = json.dumps({"id": "x" * 300, "text": "a long id"}) + "\n"
    send(running, "--producer", "p", stdin=lines_of(50) + bad + lines_of(5, name="u"))
    recv(running, "-n", 10, "--group", "train")
    state = json.loads(running.state_command("ls", "--json"))
    assert (state["first_offset"], state["next_offset"], state["rows"], state["dead_letters"]) == (0, 55, 50, 1)
    (row,) = state["producers"]
    assert row == {"name": "p", "next_sequence": 56, "received": 56, "kept": 50, "flagged": 0, "dropped": 5,
                   "refused": 1, "redelivered": 0, "adds_up": True}
    (group,) = state["groups"]
    assert (group["name"], group["floor_offset"], group["lag"]) == ("train", 10, 45)
    words = running.state_command("ls")
    assert "offsets 0 to 55" in words and "train" in words and "DOES NOT" not in words
    assert "is sound" in running.state_command("verify")
    assert json.loads(running.state_command("verify", "--json")) == {"sound": True, "fault": "", "next_offset": 55}
    assert len(running.state_command("digest").strip()) == 32
    assert "id_too_long" in running.state_command("dead")
    (letter,) = running.state_command("dead", "--json").splitlines()
    key = json.loads(letter)["key"]
    assert "a long id" in running.state_command("dead", "--show", str(key))
    running.state_command("dead", "--export", str(tmp_path / "dead.pb"))
    counts = send(running, "--producer", "again", tmp_path / "dead.pb")
    assert (counts["read"], counts["refused"]) == (1, 1)
    sluice("state", "dead", "--show", "99", "--state", running.state, code=1)


def test_state_digest_is_equal_for_equal_histories(tmp_path):
    digests = []
    for batch in (1, 50):
        (tmp_path / str(batch)).mkdir()
        with Filter(tmp_path / str(batch)) as one:
            send(one, "--producer", "p", "--batch", batch, stdin=lines_of(120) + lines_of(20, name="u"))
            digests.append(one.state_command("digest"))
            send(one, "--producer", "p", "--no-skip", stdin=lines_of(121, 120))
            assert one.state_command("digest") != digests[-1]
    assert digests[0] == digests[1]


def test_state_missing_names_the_path(tmp_path):
    done = sluice("state", "ls", "--state", tmp_path / "none", code=78)
    assert "none" in done.stderr


# --- keys ---

def test_keys_only_listed_clients_with_the_right_get_in(tmp_path):
    def key(*words):
        sluice("keygen", *words)

    key("--server", "-o", tmp_path / "server.key")
    key("-o", tmp_path / "writer.key", "--rights", "ingest", "--clients", tmp_path / "clients")
    key("-o", tmp_path / "reader.key", "--rights", "egress", "--clients", tmp_path / "clients")
    key("-o", tmp_path / "stranger.key")
    assert (tmp_path / "writer.key").stat().st_mode & 0o777 == 0o600
    assert "never overwritten" in sluice("keygen", "-o", tmp_path / "writer.key", code=1).stderr
    with Filter(tmp_path, security__server_key=tmp_path / "server.key", security__clients=tmp_path / "clients") as one:
        def with_key(name):
            return ["--key", tmp_path / f"{name}.key", "--server-key", tmp_path / "server.pub", "--timeout", "3"]

        assert send(one, *with_key("writer"), stdin=lines_of(5))["kept"] == 5
        assert len(recv(one, *with_key("reader"))) == 5
        for name, code, part in (("reader", 78, "refused the key"), ("stranger", 78, "refused the key")):
            done = sluice("send", "--to", one.ingest, *with_key(name), code=code, stdin=lines_of(1))
            assert part in done.stderr
        done = sluice("recv", "--from", one.egress, *with_key("writer"), code=78)
        assert "refused the key" in done.stderr
        done = sluice("send", "--to", one.ingest, "--timeout", "1", code=75, stdin=lines_of(1))
        assert "key" in done.stderr
        (tmp_path / "clients" / "writer.key").unlink()
        time.sleep(0.2)
        sluice("send", "--to", one.ingest, *with_key("writer"), code=78, stdin=lines_of(1))


def test_open_listener_without_keys_does_not_start(tmp_path):
    done = sluice("run", "--set", f"state={tmp_path / 'state'}", "--set", "listen.ingest=tcp://*:0", code=78)
    assert "security" in done.stderr and "tcp://*:0" in done.stderr
