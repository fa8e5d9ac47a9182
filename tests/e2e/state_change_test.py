"""state_change_test.py - what a person may change in a state: forget, restore, retire, drop dead letters."""

import json
import signal
import subprocess
import urllib.request

import pytest

from harness import Batch, Filter, Peer, SLUICE, annotation_pb, error_name, free_port, sample, session_pb


def words(n, start=0):
    return " ".join(f"word{i}" for i in range(start, start + n))


def state(folder, *arguments, code=0):
    """What it says; code None: whatever it says, whether it fails or not."""
    done = subprocess.run([SLUICE, "state", arguments[0], "--state", str(folder), *map(str, arguments[1:])],
                          capture_output=True, text=True)
    assert code is None or done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr if code is None else done.stdout if code == 0 else done.stderr


def put(one, samples, producer="p"):
    with Peer(one.ingest) as peer:
        _, welcome, _ = peer.hello(producer)
        return peer.put_acknowledged(welcome.next_sequence, samples)


def read_group(one, group):
    """Everything a consumer group is given until it has all, committed; ids in order."""
    ids = []
    with Peer(one.egress) as consumer:
        while True:
            _, records, body = consumer.fetch(group=group, after_commits=True)
            if records.count == 0:
                return ids
            ids += [s.id for s in Batch.FromString(body).samples]
            kind, answer, _ = consumer.commit(group, records.first_offset, records.next_offset)
            assert kind == "committed", answer


def producers(folder):
    return {row["name"]: row for row in json.loads(state(folder, "ls", "--json"))["producers"]}


@pytest.fixture
def stopped(tmp_path):
    """a is kept; b and c are dropped in its favour; the group g has committed all of it."""
    one = Filter(tmp_path)
    with one:
        put(one, [sample("a", words(60)), sample("b", words(60)), sample("c", words(60) + " end", source="t"),
                  sample("other", words(40, 1000))])
        assert read_group(one, "g") == ["a", "other"]
        one.stop()
    return one


def test_dependents_are_what_was_dropped_in_favour_of_a_sample(stopped):
    lines = [json.loads(line) for line in state(stopped.state, "dependents", "a", "--json").splitlines()]
    assert [(l["id"], l["source"], l["offset"], l["method"]) for l in lines] == [("b", "s", 1, "exact"),
                                                                               ("c", "t", 2, "text")]
    assert all(l["restored_at"] is None and l["of_source"] == "s" for l in lines)
    assert "no sample" in state(stopped.state, "dependents", "b")
    assert "c" in state(stopped.state, "dependents", "a")


def test_restored_sample_is_given_to_every_group_once_and_counts_add_up(stopped):
    before = producers(stopped.state)
    said = json.loads(state(stopped.state, "restore", "c", "--json"))
    assert said == {"restored": 2, "offset": 4}
    assert "restored before" in state(stopped.state, "restore", "c", code=1)
    assert "was kept" in state(stopped.state, "restore", "a", code=1)
    assert "no dropped sample" in state(stopped.state, "restore", "nobody", code=1)
    assert "is sound" in state(stopped.state, "verify")
    after = producers(stopped.state)
    assert after["p"] == before["p"]
    assert (after["sluice-restore"]["received"], after["sluice-restore"]["kept"]) == (1, 1)
    lines = [json.loads(line) for line in state(stopped.state, "dependents", "a", "--json").splitlines()]
    assert [(l["id"], l["restored_at"]) for l in lines] == [("b", None), ("c", 4)]
    with stopped as one:
        assert read_group(one, "g") == ["c"]  # the rest it had
        assert read_group(one, "new") == ["a", "other", "c"]
        assert read_group(one, "g") == []
        with Peer(one.egress) as consumer:
            everything = consumer.read_all(every=True)
        last = everything[-1]
        assert [s.id for s in everything] == ["a", "b", "c", "other", "c"]
        assert last.payload == everything[2].payload and last.source == "t"
        first, verdict = last.annotations
        assert (first.decision, first.duplicate.of) == (annotation_pb.Annotation.DECISION_DROP, "a")
        assert verdict.decision == annotation_pb.Annotation.DECISION_KEEP and verdict.reasons == ["restored"]
        assert verdict.duplicate.of == "a" and verdict.offset == 4
        one.kill()  # a restart goes on with what the restore left
        one.start()
        ack = put(one, [sample("d", words(60) + " end")])
        assert (ack.kept, ack.dropped) == (0, 1)
        one.stop()
    assert "is sound" in state(stopped.state, "verify")


def test_several_dropped_samples_of_one_id_are_told_apart_by_offset(tmp_path):
    with Filter(tmp_path) as one:
        put(one, [sample("a", words(60))])
        put(one, [sample("x", words(60))], producer="q")
        put(one, [sample("x", words(60) + " end")], producer="r")
        one.stop()
    assert "--offset: 1, 2" in state(one.state, "restore", "x", code=1)
    assert json.loads(state(one.state, "restore", "x", "--offset", 2, "--json"))["offset"] == 3
    assert json.loads(state(one.state, "restore", "x", "--json"))["restored"] == 1  # the one that is left
    assert "restored before" in state(one.state, "restore", "x", code=1)


def test_restore_through_a_running_filter_and_a_refusal_without(stopped):
    with stopped as one:
        refused = state(one.state, "restore", "b", code=1)
        assert "stop that one" in refused and "--to" in refused
        said = json.loads(state(one.state, "restore", "b", "--to", one.ingest, "--json"))
        assert said == {"restored": 1, "offset": 4}
        assert "restored before" in state(one.state, "restore", "b", "--to", one.ingest, code=1)
        assert read_group(one, "g") == ["b"]
        one.kill()
        one.start()
        assert read_group(one, "g") == []
        one.stop()
    assert producers(one.state)["sluice-restore"]["kept"] == 1
    assert "is sound" in state(one.state, "verify")


def test_restore_that_is_killed_at_any_moment_happens_once(stopped):
    """Killed after some milliseconds, again and again, until one ends: the sample is there once."""
    for n in range(1, 40):
        one = subprocess.Popen([SLUICE, "state", "restore", "b", "--state", str(stopped.state), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            one.wait(n * 0.004)
        except subprocess.TimeoutExpired:
            one.send_signal(signal.SIGKILL)
        out, err = one.communicate()
        assert "is sound" in state(stopped.state, "verify")
        if one.returncode >= 0:
            assert one.returncode == 0 or "restored before" in err, err
            break
    else:  # a build so slow that none of them came to its end
        last = subprocess.run([SLUICE, "state", "restore", "b", "--state", str(stopped.state)], capture_output=True, text=True)
        assert last.returncode == 0 or "restored before" in last.stderr, last.stderr
    with stopped as running:
        assert read_group(running, "g") == ["b"]
        running.stop()


def test_forgotten_sample_represents_no_longer(stopped):
    assert json.loads(state(stopped.state, "forget", "a", "--json")) == {"forgotten": 1, "from_offset": 4}
    assert json.loads(state(stopped.state, "forget", "a", "--json")) == {"forgotten": 0, "before": True}
    assert "forgotten before" in state(stopped.state, "forget", "a")
    assert "it was dropped" in state(stopped.state, "forget", "b", code=1)  # no row
    assert "no such sample" in state(stopped.state, "forget", "nobody", code=1)
    assert "at that offset" in state(stopped.state, "forget", "a", "--offset", 3, code=1)
    assert "is sound" in state(stopped.state, "verify")
    assert len(state(stopped.state, "dependents", "a", "--json").splitlines()) == 2  # the log knows
    with stopped as one:
        refused = state(one.state, "forget", "other", code=1)
        assert "stop that one" in refused and "--from" in refused
        ack = put(one, [sample("d", words(60))])
        assert (ack.kept, ack.dropped) == (1, 0)
        one.stop()


def test_running_filter_forgets_from_a_place_of_the_log_on(stopped):
    port = free_port()
    stopped.settings["listen.http"] = f"127.0.0.1:{port}"
    with stopped as one:
        at = ("--from", one.egress)
        put(one, [sample("other", words(40, 2000))], producer="q")  # a second one of that id
        put(one, [sample("e", words(40, 1000) + " end")])
        assert json.loads(state(one.state, "forget", "a", *at, "--json")) == {"forgotten": 1, "from_offset": 6}
        assert "forgotten before" in state(one.state, "forget", "a", *at)
        assert json.loads(state(one.state, "forget", "a", *at, "--json")) == {"forgotten": 0, "before": True}
        assert "it was dropped" in state(one.state, "forget", "b", *at, code=1)
        assert "no such sample" in state(one.state, "forget", "nobody", *at, code=1)
        assert "at that offset" in state(one.state, "forget", "other", "--offset", 0, *at, code=1)
        assert "kept at offset 4;" in state(one.state, "forget", "other", "--offset", 4, *at)
        assert "remembers nothing" in subprocess.run([SLUICE, "state", "forget", "a", *at], capture_output=True, text=True, cwd="/").stderr
        with Peer(one.egress) as client:
            kind, answer, _ = client.ask(forget=session_pb.Forget(id=""))
            assert (kind, error_name(answer)) == ("error", "MALFORMED")
            kind, answer, _ = client.ask(forget=session_pb.Forget(id="x" * 257))
            assert (kind, error_name(answer)) == ("error", "MALFORMED")
        numbers = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
        assert 'sluice_changes_total{change="forget",result="done"} 2' in numbers
        assert 'sluice_changes_total{change="forget",result="refused"} 7' in numbers
        ack = put(one, [sample("d", words(60)), sample("f", words(60) + " end"), sample("g", words(40, 2000)), sample("h", words(40, 1000))])
        assert (ack.kept, ack.dropped) == (2, 2)  # d and g are new; f repeats d, h the first "other"
        with Peer(one.egress) as consumer:
            verdicts = [(s.id, s.annotations[0].duplicate.of) for s in consumer.read_all(every=True)[6:]]
        one.kill()
        one.start()  # the same rows, the same answers
        assert "forgotten before" in state(one.state, "forget", "a", *at)
        ack = put(one, [sample("i", words(60)), sample("j", words(40, 2000) + " end"), sample("k", words(40, 1000))])
        assert (ack.kept, ack.dropped) == (0, 3)
        one.stop()
    assert verdicts == [("d", ""), ("f", "d"), ("g", ""), ("h", "other")]
    assert "is sound" in state(stopped.state, "verify")
    lines = [json.loads(line) for line in state(stopped.state, "dependents", "a", "--json").splitlines()]
    assert [l["id"] for l in lines] == ["b", "c"]  # the log still names what it cost
    assert json.loads(state(stopped.state, "restore", "c", "--json"))["restored"] == 2


def test_forgetting_is_part_of_the_order_and_of_no_batch(tmp_path):
    """The same messages, the same forgets between them: the same state, in one run or with a kill behind each step."""
    digests = []
    for name, kills in (("calm", False), ("killed", True)):
        (tmp_path / name).mkdir()
        with Filter(tmp_path / name) as one:
            for n in range(8):  # three new ones, and all that came before once more
                ack = put(one, [sample(f"a{n}-{k}", words(50, 1000 * k)) for k in range(3 * n + 3)])
                assert ack.kept == 3 + (n > 0)
                said = json.loads(state(one.state, "forget", f"a{n}-{3 * n}", "--from", one.egress, "--json"))
                assert said == {"forgotten": 1, "from_offset": 3 * (n + 1) * (n + 2) // 2}
                if kills:
                    one.kill()
                    one.start()
            one.stop()
        assert "is sound" in state(one.state, "verify")
        digests.append(state(one.state, "digest"))
    assert digests[0] == digests[1]


def test_more_samples_of_one_id_than_one_request_may_erase_are_left_alone(tmp_path):
    with Filter(tmp_path) as one:
        with Peer(one.ingest) as producer:
            producer.hello("p")
            producer.put_acknowledged(0, [sample("x", f"unlike {n} others {n * n} at all {n * 7919}") for n in range(1025)])
        assert "more than 1024" in state(one.state, "forget", "x", "--from", one.egress, code=None)
        assert json.loads(state(one.state, "forget", "x", "--offset", 7, "--from", one.egress, "--json"))["forgotten"] == 1
        assert json.loads(state(one.state, "forget", "x", "--from", one.egress, "--json"))["forgotten"] == 1024
        one.stop()
    assert "is sound" in state(one.state, "verify")


def test_restored_sample_is_no_second_arrival_in_the_portfolio(stopped):
    state(stopped.state, "restore", "c")
    done = subprocess.run([SLUICE, "report", "--state", str(stopped.state), "--json"], capture_output=True, text=True, check=True)
    total = json.loads(done.stdout)["portfolio"]["total"]
    assert [total[key] for key in ("received", "kept", "dropped", "duplicates", "restored")] == [4, 2, 2, 2, 1]


def test_retired_group_holds_the_log_no_longer(tmp_path):
    one = Filter(tmp_path, spool__max_bytes="8MiB")
    with one:
        put(one, [sample("first", words(9))])
        with Peer(one.egress) as consumer:  # takes one and never commits
            _, records, _ = consumer.fetch(group="idle", after_commits=True, max_bytes=1)
            assert records.count == 1
        assert "stop that one" in state(one.state, "retire", "idle", code=1)
        with Peer(one.ingest) as producer:
            _, welcome, _ = producer.hello("p")
            at = welcome.next_sequence
            for n in range(40):
                producer.put(at, [sample(f"i{n}-{k}", f"{n} {k} " + words(6000, 7000 * (3 * n + k))) for k in range(4)])
                kind, answer, _ = producer.receive()
                if kind == "error" or answer.max_in_flight_bytes == 0:
                    break
                at += 4
            else:
                pytest.fail("the log of 8 MiB never filled up")
        one.stop()
    listed = json.loads(state(one.state, "ls", "--json"))
    assert [g["name"] for g in listed["groups"]] == ["idle"] and listed["deleted_samples"] == 0
    assert json.loads(state(one.state, "retire", "idle", "--json"))["retired"]
    assert "no consumer group" in state(one.state, "retire", "idle", code=1)
    assert json.loads(state(one.state, "ls", "--json"))["groups"] == []
    with one, Peer(one.ingest) as producer:  # held until the next checkpoint lets retention delete
        _, welcome, _ = producer.hello("p")
        if welcome.max_in_flight_bytes == 0:
            assert producer.receive()[1].max_in_flight_bytes > 0
        assert producer.put_acknowledged(welcome.next_sequence, [sample("late", words(50, 999000))]).kept == 1
        one.stop()
    assert json.loads(state(one.state, "ls", "--json"))["deleted_samples"] > 0


def test_dropped_dead_letters_make_room_and_stay_counted(tmp_path):
    with Filter(tmp_path) as one:
        put(one, [sample("", "no id"), sample("x" * 300, "long id")])
        assert "stop that one" in state(one.state, "dead", "--drop", code=1)
        one.stop()
        assert json.loads(state(one.state, "dead", "--drop", "--json")) == {"dropped": 2}
        assert "no dead letters" in state(one.state, "dead")
        assert "is sound" in state(one.state, "verify")
        one.start()
        put(one, [sample("", "another")])
        one.stop()
    (letter,) = state(one.state, "dead", "--json").splitlines()
    assert json.loads(letter)["key"] == 2
    listed = json.loads(state(one.state, "ls", "--json"))
    assert (listed["dead_letters"], listed["dead_letters_dropped"]) == (3, 2)
    assert "is sound" in state(one.state, "verify")


def test_words_that_are_missing_or_too_many_are_usage_errors(stopped, tmp_path):
    for arguments in (["forget"], ["restore"], ["restore", "a", "b"], ["retire", "x" * 300], ["ls", "a"],
                      ["forget", "a", "--to", "tcp://127.0.0.1:1"], ["restore", "a", "--from", "tcp://127.0.0.1:1"], ["restore", "a", "--offset", "-1"]):
        state(stopped.state, *arguments, code=64)
    state(tmp_path / "nothing", "forget", "a", code=78)
    assert not (tmp_path / "nothing").exists()


def test_all_findings_are_in_the_record_and_change_no_decision(tmp_path):
    """The same stream with best and with all: the same decisions; `also` names what the others found."""
    text = words(60)
    stream = [sample("a", text), sample("b", text + " end"), sample("c", text)]
    records = {}
    for findings in ("best", "all"):
        folder = tmp_path / findings
        folder.mkdir()
        with Filter(folder, duplicate__findings=findings) as one:
            put(one, stream)
            with Peer(one.egress) as consumer:
                records[findings] = [s.annotations[0] for s in consumer.read_all(every=True)]
            one.stop()
        with Filter(folder, duplicate__findings="best" if findings == "all" else "all") as one:
            one.stop()  # not of class state: may change from start to start
    assert [(r.decision, r.duplicate.of, r.duplicate.method) for r in records["best"]] == [
        (r.decision, r.duplicate.of, r.duplicate.method) for r in records["all"]]
    assert all(len(r.duplicate.also) == 0 for r in records["best"])
    method = annotation_pb.Duplicate
    assert [len(r.duplicate.also) for r in records["all"]] == [0, 0, 1]
    (also,) = records["all"][2].duplicate.also
    assert records["all"][2].duplicate.method == method.METHOD_EXACT
    assert (also.of, also.of_source, also.similarity, also.method) == ("a", "s", 1, method.METHOD_TEXT)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": s.id, "text": s.payload.decode()}) + "\n" for s in stream))
    verdicts = {}
    for findings in ("best", "all"):
        out = tmp_path / f"{findings}.jsonl"
        subprocess.run([SLUICE, "filter", "--set", f"duplicate.findings={findings}", "--verdicts", out, "-o", "/dev/null",
                        tmp_path / "in.jsonl"], check=True, capture_output=True)
        verdicts[findings] = [json.loads(line) for line in open(out)]
    assert verdicts["all"][2]["duplicate"].pop("also") == [
        {"of": "a", "of_source": "", "similarity": 1.0, "method": "text"}]
    assert verdicts["all"] == verdicts["best"]


def test_counters_are_in_the_listing_and_in_the_summary(stopped, tmp_path):
    listed = json.loads(state(stopped.state, "ls", "--json"))
    text = listed["counters"]["text"]
    assert (text["rows"], text["evicted"], text["oldest_offset"]) == (2, 0, 0)
    assert listed["counters_offset"] == 4 and text["verified"] == 1
    assert "back to offset 0" in state(stopped.state, "ls")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": str(n), "text": words(30, 100 * n)}) + "\n"
                                               for n in range(9000)))
    command = [SLUICE, "filter", "--set", "duplicate.text.memory=1MiB", "-o", "/dev/null", tmp_path / "in.jsonl"]
    done = subprocess.run([*command, "--json"], check=True, capture_output=True)
    text = json.loads(done.stdout)["counters"]["text"]
    assert text["rows"] + text["evicted"] == 9000 and text["evicted"] > 0 and text["rows"] <= text["rows_max"]
    assert text["oldest_offset"] == text["evicted"] and text["recall_checked"] > 0
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "evicted, back to offset" in done.stderr


def test_change_deletes_nothing_of_a_log_larger_than_configured_here(tmp_path):
    one = Filter(tmp_path, spool__max_bytes="64MiB")
    with one:
        for n in range(12):
            put(one, [sample(f"i{n}-{k}", words(6000, 7000 * (20 * n + k))) for k in range(20)])
        read_group(one, "g")
        one.stop()
    assert json.loads(state(one.state, "ls", "--json"))["log_bytes"] > 9 << 20
    (tmp_path / "small.yaml").write_text("spool: {max_bytes: 8MiB}\n"
                                         "duplicate: {exact: {memory: 1MiB}, text: {memory: 4MiB}}\n")
    assert json.loads(state(one.state, "forget", "i0-0", "-c", tmp_path / "small.yaml", "--json"))["forgotten"] == 1
    assert json.loads(state(one.state, "ls", "--json"))["deleted_samples"] == 0
