"""run_test.py - `sluice run` over its sockets: delivery, sequences, leases, restarts, bad peers."""

import json
import subprocess
import time

import pytest
import zmq

from harness import (annotation_pb, Batch, Filter, Peer, Sample, SLUICE, batch_of, error_name, free_port, sample, session_pb)


@pytest.fixture
def running(tmp_path):
    with Filter(tmp_path) as one:
        yield one


def words(n, start=0):
    return " ".join(f"word{i}" for i in range(start, start + n))


def test_put_ack_fetch_annotated_samples_keep_their_bytes(running):
    sent = sample("a1", "the quick brown fox " + words(20), attributes={"k": "v"})
    sent_bytes = sent.SerializeToString()
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        kind, welcome, _ = producer.hello("p")
        assert (kind, welcome.next_sequence) == ("welcome", 0)
        assert welcome.max_batch_bytes == 4 << 20 and welcome.max_in_flight_bytes > 0
        ack = producer.put_acknowledged(0, [sent])
        assert (ack.next_sequence, ack.kept, ack.dropped) == (1, 1, 0)
        kind, records, body = consumer.fetch(offset=0)
        assert (kind, records.first_offset, records.next_offset, records.count) == ("records", 0, 1, 1)
        (got,) = Batch.FromString(body).samples
        assert got.annotations[0].decision and len(got.annotations) == 1
        raw = body[body.index(sent_bytes):]  # the original bytes, untouched, then the annotation
        assert raw.startswith(sent_bytes)


def test_duplicates_are_dropped_in_favour_of_a_named_kept_sample(running):
    text = words(60)
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        ack = producer.put_acknowledged(0, [sample("a", text), sample("b", text), sample("c", text + " end")])
        assert (ack.kept, ack.dropped) == (1, 2)
        everything = consumer.read_all(every=True)
        assert [s.id for s in consumer.read_all()] == ["a"]
        assert [s.id for s in everything] == ["a", "b", "c"]
        assert everything[1].annotations[0].duplicate.of == "a"
        assert everything[1].annotations[0].duplicate.method == annotation_pb.Duplicate.METHOD_EXACT
        assert everything[2].annotations[0].duplicate.method == annotation_pb.Duplicate.METHOD_TEXT


def test_resend_with_other_batch_boundaries_is_redelivered(running):
    samples = [sample(f"i{n}", f"{n} " + words(30, 100 * n)) for n in range(10)]
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        producer.put_acknowledged(0, samples[:6])
        kind, ack, _ = (producer.put(0, samples[:3]), producer.receive())[1]
        assert (kind, ack.next_sequence, ack.redelivered, ack.kept) == ("ack", 6, 3, 0)
        ack = producer.put_acknowledged(4, samples[4:])
        assert (ack.redelivered, ack.kept) == (2, 4)
        assert [s.id for s in consumer.read_all(every=True)] == [f"i{n}" for n in range(10)]


def test_producer_that_lost_its_counter_is_recognized_by_id_and_content(running):
    samples = [sample(f"i{n}", words(30, 100 * n)) for n in range(5)]
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        producer.put_acknowledged(0, samples)
        ack = producer.put_acknowledged(5, samples)
        assert (ack.redelivered, ack.kept, ack.dropped) == (5, 0, 0)
        assert len(consumer.read_all(every=True)) == 5


def test_gap_unknown_producer_fence_and_wire_version_are_said(running):
    with Peer(running.ingest) as first, Peer(running.ingest) as second:
        first.put(0, [sample("a", "text")])
        kind, error, _ = first.receive()
        assert kind == "error" and error_name(error) == "UNKNOWN_PRODUCER"
        kind, error, _ = first.hello("p", wire=2)
        assert error_name(error) == "WIRE_VERSION" and "2" in error.text
        first.hello("p")
        first.put(3, [sample("a", "text")])
        kind, error, _ = first.receive()
        assert error_name(error) == "GAP" and error.expected_sequence == 0
        second.hello("p")
        kind, error, _ = first.receive()
        assert error_name(error) == "FENCED"
        first.put(0, [sample("a", "text")])
        kind, error, _ = first.receive()
        assert error_name(error) == "FENCED"
        assert second.put_acknowledged(0, [sample("a", "text")]).kept == 1


def test_bad_batches_change_nothing(running):
    good = [sample("a", words(9))]
    with Peer(running.ingest) as producer:
        producer.hello("p")
        for body, count, xxh3 in [(b"\xff\xff\xff", 1, 0), (batch_of(good)[:-1], 1, 0), (batch_of(good), 2, 0),
                                  (batch_of(good), 1, 12345)]:
            producer.put(0, [], count=count, body=body, xxh3=xxh3)
            kind, error, _ = producer.receive()
            assert kind == "error" and error_name(error) == "MALFORMED", (kind, error)
            assert error.expected_sequence == 0
        producer.put(0, [], count=1, body=b"\n\x05" + b"x" * ((4 << 20) + 1000))
        kind, error, _ = producer.receive()
        assert error_name(error) == "TOO_LARGE"
        ack = producer.put_acknowledged(0, good)
        assert (ack.next_sequence, ack.kept) == (1, 1)


def test_refused_samples_are_faults_and_dead_letters(running):
    samples = [sample("ok", "fine text"), sample("", "no id"), sample("x" * 257, "long id"),
               Sample(id="bad", payload=b"\xff\xfe"), sample("big", "y" * ((1 << 20) + 1)), sample("ok2", "other text")]
    with Peer(running.ingest) as producer:
        producer.hello("p")
        ack = producer.put_acknowledged(0, samples)
        assert (ack.kept, ack.refused) == (2, 4)
        assert [f.sequence for f in ack.faults] == [1, 2, 3, 4]
        assert all(f.reason and f.text for f in ack.faults)
    dead = running.state_command("dead", "--json")
    assert len(dead.strip().splitlines()) == 4


def test_more_faults_than_a_frame_holds_arrive_in_several(running):
    with Peer(running.ingest) as producer:
        producer.hello("p")
        producer.put(0, [sample("", "no id")] * 200)
        faults, refused = [], 0
        while len(faults) < 200:
            kind, ack, _ = producer.receive()
            assert kind == "ack"
            faults += [f.sequence for f in ack.faults]
            refused += ack.refused
        assert faults == list(range(200)) and refused == 200


def test_frames_that_are_no_messages_are_answered_and_counted(running):
    with Peer(running.ingest) as stranger:
        for frames in [[b"\xff\xff\xff\xff"], [b""], [b"x" * 70000], [b"", b"", b"", b""]]:
            stranger.socket.send_multipart(frames)
            kind, error, _ = stranger.receive()
            assert kind == "error" and error_name(error) == "MALFORMED" and error.text
        kind, error, _ = stranger.fetch(offset=0)
        assert error_name(error) == "MALFORMED" and "ingest" in error.text


def test_groups_lease_commit_and_redeliver(running):
    samples = [sample(f"i{n}", words(30, 100 * n)) for n in range(40)]
    with Peer(running.ingest) as producer, Peer(running.egress) as one, Peer(running.egress) as two:
        producer.hello("p")
        for n in range(0, 40, 10):
            producer.put_acknowledged(n, samples[n:n + 10])
        get = dict(group="g", after_commits=True, max_bytes=1500)
        _, first, body_one = one.fetch(**get, lease_ms=1000)
        _, second, body_two = two.fetch(**get, lease_ms=60000)
        assert first.next_offset == second.first_offset and first.delivery == second.delivery == 1
        kind, committed, _ = two.commit("g", second.first_offset, second.next_offset)
        assert (kind, committed.floor_offset) == ("committed", 0)
        time.sleep(1.2)
        _, again, body_again = two.fetch(**get)
        assert (again.first_offset, again.delivery) == (0, 2) and body_again == body_one
        kind, error, _ = one.commit("g", first.first_offset, first.next_offset)
        assert error_name(error) == "LEASE_LOST"
        kind, committed, _ = two.commit("g", again.first_offset, again.next_offset)
        assert committed.floor_offset == second.next_offset


def test_range_never_committed_becomes_dead_letters_after_five_deliveries(running):
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        producer.put_acknowledged(0, [sample("poison", words(20)), sample("poison2", words(20, 500))])
        for delivery in range(1, 6):
            _, records, _ = consumer.fetch(group="g", after_commits=True, lease_ms=20, wait_ms=1000)
            assert (records.delivery, records.count) == (delivery, 2)
            time.sleep(0.03)
        _, records, _ = consumer.fetch(group="g", after_commits=True, lease_ms=20, wait_ms=50)
        assert records.count == 0
    assert "delivered_too_often" in running.state_command("dead", "--json")


def test_shards_split_the_log_and_together_are_all_of_it(running):
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        for n in range(20):
            producer.put_acknowledged(n, [sample(f"i{n}", words(30, 100 * n))])
        seen = []
        for shard in range(3):
            start, head = 0, 1
            while start < head:
                _, records, body = consumer.fetch(offset=start, shard=shard, shards=3)
                seen += [s.id for s in Batch.FromString(body).samples]
                start, head = records.next_offset, records.head_offset
        assert sorted(seen) == sorted(f"i{n}" for n in range(20))


def test_fetch_waits_for_a_sample_and_no_longer_than_asked(running):
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        started = time.monotonic()
        _, records, _ = consumer.fetch(offset=0, wait_ms=200)
        assert records.count == 0 and 0.15 < time.monotonic() - started < 2
        consumer.send(fetch=session_pb.Fetch(offset=0, wait_ms=20000))
        producer.hello("p")
        producer.put_acknowledged(0, [sample("a", words(9))])
        _, records, _ = consumer.receive()
        assert records.count == 1


def test_rejected_sample_is_a_dead_letter_and_represents_no_longer(running):
    text = words(60)
    with Peer(running.ingest) as producer, Peer(running.egress) as consumer:
        producer.hello("p")
        producer.put_acknowledged(0, [sample("a", text)])
        kind, answer, _ = consumer.ask(reject=session_pb.Reject(group="g", offset=0, reason="blurred"))
        assert kind == "committed", answer
        ack = producer.put_acknowledged(1, [sample("b", text)])
        assert (ack.kept, ack.dropped) == (1, 0)
        kind, error, _ = consumer.ask(reject=session_pb.Reject(group="g", offset=99, reason="x"))
        assert error_name(error) == "OFFSET_GONE"
    assert "blurred" in running.state_command("dead", "--json")


def test_restart_goes_on_index_and_groups_included(tmp_path):
    text = words(60)
    with Filter(tmp_path) as one:
        with Peer(one.ingest) as producer, Peer(one.egress) as consumer:
            producer.hello("p")
            producer.put_acknowledged(0, [sample("a", text), sample("b", words(40, 1000))])
            _, records, _ = consumer.fetch(group="g", after_commits=True)
            consumer.commit("g", 0, 1)
        for end in (one.stop, one.kill):
            end()
            one.start()
            with Peer(one.ingest) as producer, Peer(one.egress) as consumer:
                _, welcome, _ = producer.hello("p")
                ack = producer.put_acknowledged(welcome.next_sequence, [sample(f"c{welcome.next_sequence}", text)])
                assert (ack.kept, ack.dropped) == (0, 1)
                _, records, body = consumer.fetch(group="g", after_commits=True)
                assert records.first_offset == 1
                assert [s.id for s in Batch.FromString(body).samples] == ["b"]
        one.stop()


def test_sigterm_drains_what_was_taken(tmp_path):
    with Filter(tmp_path) as one:
        with Peer(one.ingest) as producer:
            producer.hello("p")
            for n in range(50):
                producer.put(n * 20, [sample(f"i{n}-{k}", words(40, 100 * (20 * n + k))) for k in range(20)])
            told = 0
            kind, ack, _ = producer.receive()
            one.process.terminate()
            while kind == "ack":
                told = ack.next_sequence
                if told == 1000:
                    break
                try:
                    kind, ack, _ = producer.receive()
                except zmq.Again:  # what comes when it is over is not read any more, and not answered
                    assert one.process.wait(30) == 0
                    break
            assert kind == "ack" or error_name(ack) == "SHUTTING_DOWN"
        assert one.process.wait(30) == 0
        one.start()
        with Peer(one.ingest) as producer:
            _, welcome, _ = producer.hello("p")
            assert welcome.next_sequence >= told
        one.stop()


def test_port_in_use_locked_state_and_other_configuration_are_named(running, tmp_path):
    second = Filter(tmp_path / "..", **{"state": tmp_path / "other"})
    second.settings |= {"listen.ingest": running.ingest, "listen.egress": f"tcp://127.0.0.1:{free_port()}"}
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and running.ingest in done.stderr and "in use" in done.stderr
    locked = Filter(tmp_path, **{"state": running.state})
    done = subprocess.run(locked.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and str(running.state) in done.stderr, done.stderr
    running.stop()
    other = Filter(tmp_path, **{"state": running.state, "seed": 2})
    done = subprocess.run(other.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 78 and "seed" in done.stderr, done.stderr


def test_producers_beyond_the_limit_are_refused(tmp_path):
    with Filter(tmp_path) as one, Peer(one.ingest) as peer:
        for n in range(4096):
            kind, answer, _ = peer.hello(f"p{n}")
            assert kind == "welcome", answer
        kind, error, _ = peer.hello("one more")
        assert kind == "error" and error_name(error) == "FORBIDDEN" and "4096" in error.text
        kind, answer, _ = peer.hello("p7")
        assert kind == "welcome"


def test_sources_beyond_the_limit_are_counted_as_other(running):
    with Peer(running.ingest) as producer:
        producer.hello("p")
        samples = [sample(f"i{n}", words(12, 50 * n), source=f"source{n}") for n in range(1100)]
        ack = producer.put_acknowledged(0, samples)
        assert ack.kept == 1100


def test_plain_push_and_pull_sockets(tmp_path):
    pull, push = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
    with Filter(tmp_path, listen__pull=pull, listen__push=push):
        out, into = Peer.context.socket(zmq.PUSH), Peer.context.socket(zmq.PULL)
        into.setsockopt(zmq.RCVTIMEO, 10000)
        into.connect(push)
        out.connect(pull)
        text = words(60)
        out.send(sample("bare", text).SerializeToString())
        out.send(batch_of([sample("b1", text), sample("b2", words(60, 900))]))
        got = [Sample.FromString(into.recv()) for _ in range(2)]
        assert [s.id for s in got] == ["bare", "b2"]
        assert got[0].annotations[0].decision
        out.close(0)
        into.close(0)


def test_counts_add_up_per_producer(running):
    text = words(60)
    with Peer(running.ingest) as producer:
        producer.hello("p")
        batch = [sample("a", text), sample("b", text), sample("", "x"), sample("d", words(50, 700))]
        producer.put_acknowledged(0, batch)
        producer.put(2, batch[2:])
        producer.receive()
    (row,) = json.loads(running.state_command("ls", "--json"))["producers"]
    assert row["received"] == 6
    assert row["received"] == sum(row[k] for k in ("kept", "flagged", "dropped", "refused", "redelivered"))
