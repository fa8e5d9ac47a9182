"""python_package_test.py - the Python package against a running filter, and the lines of the main README verbatim."""

import importlib
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zlib

import pytest

from harness import ROOT, SLUICE, Filter

PACKAGE = ROOT / "src" / "python"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the package with its generated code."""
    target = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE / "sluice", target / "sluice", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([PACKAGE / "generate.sh", target], check=True)
    return target


@pytest.fixture(scope="module")
def sluice(folder):
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "sluice"}
    sys.path.insert(0, str(folder))
    module = importlib.import_module("sluice")
    yield module
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "sluice"]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def running(tmp_path):
    with Filter(tmp_path) as one:
        yield one


def text_of(i):
    return " ".join(f"word{(i * 7919 + k * k * 31) % 100003}" for k in range(40))


def send_all(sluice, running, n, start=0, **options):
    with sluice.Producer(running.ingest, "p", timeout=10, **options) as producer:
        for i in range(start, n):
            producer.send(id=f"t{i}", source="s", text=text_of(i))
    return producer


def test_producer_and_consumer_pass_everything_once(sluice, running):
    producer = send_all(sluice, running, 1000, batch_samples=37)
    assert producer.counts == sluice.Counts(sent=1000, acknowledged=1000, kept=1000)
    with sluice.Consumer(running.egress, "train", max_bytes=20000) as consumer:
        samples = []
        for sample in consumer:
            samples.append(sample)
            consumer.commit()
    assert [s.id for s in samples] == [f"t{i}" for i in range(1000)]
    assert samples[5].payload.decode() == text_of(5)
    assert samples[5].annotations[-1].offset == 5
    with sluice.Consumer(running.egress, "train") as consumer:
        assert list(consumer) == []


def test_producer_continues_at_next_sequence(sluice, running):
    send_all(sluice, running, 10)
    with sluice.Producer(running.ingest, "p") as producer:
        assert producer.next_sequence == 10
        producer.send(id="more", text="another text")
        assert producer.next_sequence == 11
    assert producer.counts.acknowledged == 1


def test_producer_takes_messages_bytes_and_keywords(sluice, running):
    with sluice.Producer(running.ingest, "p") as producer:
        producer.send(sluice.Sample(id="a", payload=b"first"))
        producer.send(sluice.Sample(id="b", payload=b"second").SerializeToString())
        producer.send(id="c", text="third", attributes={"lang": "en", "n": 3})
    got = {s.id: s for _, s in sluice.Consumer(running.egress).read()}
    assert set(got) == {"a", "b", "c"} and dict(got["c"].attributes) == {"lang": "en", "n": "3"}


def test_producer_refused_samples_are_told_with_sequence_and_reason(sluice, running):
    faults = []
    with sluice.Producer(running.ingest, "p", on_fault=lambda *fault: faults.append(fault)) as producer:
        producer.send(id="good", text="a text")
        producer.send(id="x" * 300, text="long id")
    assert producer.counts.refused == 1 and producer.counts.kept == 1
    assert [(sequence, reason) for sequence, reason, _ in faults] == [(1, "id_too_long")]


def test_producer_second_of_a_name_fences_the_first(sluice, running):
    first = sluice.Producer(running.ingest, "p")
    with sluice.Producer(running.ingest, "p"):
        with pytest.raises(sluice.Fenced):
            first.send(id="a", text="late")
            first.flush()
    first.close()


def test_producer_filter_killed_and_started_again_loses_nothing(sluice, running):
    failed = []

    def send():
        try:
            with sluice.Producer(running.ingest, "p", timeout=30, batch_samples=10) as producer:
                for i in range(4000):
                    producer.send(id=f"t{i}", source="s", text=text_of(i))
                    if i % 10 == 0:  # so that all three kills come in the middle
                        time.sleep(0.005)
        except Exception as error:  # shown by the assertion below
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(3):
        time.sleep(0.3)
        running.kill()
        running.start()
    sender.join(60)
    assert not failed and not sender.is_alive()
    ids = [sample.id for _, sample in sluice.Consumer(running.egress).read()]
    assert ids == [f"t{i}" for i in range(4000)]


def test_producer_nobody_there_raises_timeout(sluice):
    with pytest.raises(sluice.Timeout, match="127.0.0.1:9"):
        sluice.Producer("tcp://127.0.0.1:9", "p", timeout=0.3)


def test_consumer_uncommitted_samples_come_again(sluice, running):
    send_all(sluice, running, 10)
    with sluice.Consumer(running.egress, "train", lease=0.2) as consumer:
        given = iter(consumer)
        assert [next(given).id for _ in range(4)] == ["t0", "t1", "t2", "t3"]
        consumer.commit()
        next(given)
    time.sleep(0.4)
    with sluice.Consumer(running.egress, "train") as consumer:
        assert [sample.id for sample in consumer] == [f"t{i}" for i in range(4, 10)]


def test_consumer_read_continues_from_a_stored_offset(sluice, running):
    send_all(sluice, running, 20)
    consumer = sluice.Consumer(running.egress)
    part = [next_of for next_of, _ in zip(consumer.read(), range(7))]
    offset = part[-1][0] + 1
    rest = [sample.id for _, sample in consumer.read(offset)]
    assert [sample.id for _, sample in part] + rest == [f"t{i}" for i in range(20)]
    consumer.close()


def test_consumer_reject_makes_a_dead_letter(sluice, running):
    send_all(sluice, running, 3)
    with sluice.Consumer(running.egress, "train") as consumer:
        for sample in consumer:
            if sample.id == "t1":
                consumer.reject(sample, "cannot be parsed")
            consumer.commit()
    assert "cannot be parsed" in running.state_command("dead")


def test_consumer_several_of_a_group_share_the_samples(sluice, running):
    send_all(sluice, running, 300, batch_samples=10)
    with sluice.Consumer(running.egress, "g", max_bytes=3000) as one, \
            sluice.Consumer(running.egress, "g", max_bytes=3000) as other:
        first, second, ids = iter(one), iter(other), []
        for given in [first, second] * 200:
            sample = next(given, None)
            if sample is not None:
                ids.append(sample.id)
        ids += [s.id for s in first] + [s.id for s in second]
    assert sorted(ids) == sorted(f"t{i}" for i in range(300))


def test_keys_admit_listed_clients_and_refuse_others(sluice, tmp_path):
    for words in (["--server", "-o", "server.key"], ["-o", "writer.key", "--clients", "clients"],
                  ["-o", "stranger.key"]):
        subprocess.run([SLUICE, "keygen", *words], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    with Filter(tmp_path, security__server_key=tmp_path / "server.key", security__clients=tmp_path / "clients") as one:
        keys = {"key": tmp_path / "writer.key", "server_key": tmp_path / "server.pub"}
        with sluice.Producer(one.ingest, "writer", **keys) as producer:
            producer.send(id="a", text="a text")
        with sluice.Consumer(one.egress, "g", **keys) as consumer:
            assert [sample.id for sample in consumer] == ["a"]
        with pytest.raises(sluice.Refused, match="refused the key"):
            sluice.Producer(one.ingest, "writer", **(keys | {"key": tmp_path / "stranger.key"}))
        with pytest.raises(sluice.Timeout):
            sluice.Producer(one.ingest, "writer", timeout=0.5)


def test_readme_lines_send_samples_and_print_what_was_kept(folder, tmp_path):
    for port in (5570, 5571):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port}, which the lines of the README use, is taken")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert 10 <= len([line for line in blocks[0].splitlines() if line]) <= 25
    with Filter(tmp_path, ports=False):
        script = pathlib.Path(tmp_path / "readme.py")
        script.write_text(blocks[0])
        done = subprocess.run([sys.executable, script], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True,
                              timeout=60)
    assert done.returncode == 0, done.stderr
    assert "kept: 2" in done.stdout and "dropped: 1" in done.stdout
    assert "demo-0: the quick brown fox" in done.stdout and "demo-1: a text of its own" in done.stdout
    assert "demo-2" not in done.stdout


def fake_encode(texts):
    """Stands for a model: hashed words, 24 numbers."""
    rows = []
    for text in texts:
        row = [0.01] * 24
        for word in text.split():
            place = zlib.crc32(word.encode())
            row[place % 24] += 1 if place & 1 << 20 else -1
        rows.append(row)
    return rows


def test_an_encoder_of_the_user_fills_influence(sluice, tmp_path):
    encoders = importlib.import_module("sluice.encoders")
    encode, texts = encoders.TextViews(fake_encode, "fake@1"), [text_of(i) for i in range(600)]
    fields = encode(texts)
    assert fields == encode(texts)  # the same augmentations each time
    assert fields[:7] == encode(texts[:7])  # and whatever came along
    assert fields != encoders.TextViews(fake_encode, "fake@1", seed=1)(texts)
    for one in fields:
        assert len(one["views"]) == 3 and one["views"][0] != one["views"][1] != one["views"][2]
    with Filter(tmp_path, influence__expert__warmup=256) as running:
        with sluice.Producer(running.ingest, "p") as producer:
            for i, (text, more) in enumerate(zip(texts, fields)):
                producer.send(id=f"t{i}", text=text, **more)
        with sluice.Consumer(running.egress, "g") as consumer:
            last = list(consumer)[-1].annotations[-1].influence
        running.stop()
    assert last.HasField("self") and last.HasField("leverage") and last.HasField("reliability")


def test_augmentations_keep_the_stated_share_of_the_words(sluice):
    encoders = importlib.import_module("sluice.encoders")
    words = [f"w{i}" for i in range(200)]
    dropped, cropped = encoders.augment(" ".join(words))
    assert 150 <= len(dropped.split()) <= 185 and set(dropped.split()) < set(words)
    assert len(cropped.split()) == 140 and " ".join(cropped.split()) in " ".join(words)
    assert encoders.augment("") == ["", ""] and encoders.augment("word") == ["word", "word"]
    dropped, cropped = encoders.augment("白日依山尽黄河入海流欲穷千里目更上一层楼")
    assert len(cropped) == 14 and len(dropped) <= 20
    with pytest.raises(ValueError):
        encoders.TextViews(lambda texts: [[1.0]], "short@1")(["a b c d"])
