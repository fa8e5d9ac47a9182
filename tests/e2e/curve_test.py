"""curve_test.py - who gets in: keys made by `sluice keygen`, rights, names, revoked files, open listeners."""

import json
import pathlib
import shutil
import socket
import subprocess
import time

import pytest
import zmq

from harness import SLUICE, Batch, Filter, Peer, error_name, free_port, sample, session_pb

LINES = "".join(json.dumps({"id": f"i{k}", "text": f"text number {k} " + "word " * k}) + "\n" for k in range(5))


def sluice(*words, code=0, stdin=None):
    done = subprocess.run([SLUICE, *map(str, words)], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def read_key(path):
    """Public and secret part of a key file."""
    lines = [line.split(maxsplit=1) for line in pathlib.Path(path).read_text().splitlines()]
    words = dict(line for line in lines if len(line) == 2)
    return words["public"].encode(), words.get("secret", "").encode()


class House:
    """A filter with keys, and the folder in which they lie."""

    def __init__(self, folder):
        self.folder = folder
        sluice("keygen", "--server", "-o", folder / "server.key")
        self.client("writer", "ingest")
        self.client("reader", "egress")
        self.client("both", "ingest,egress")
        self.client("admin", "admin")
        self.client("boss", "egress,admin")
        sluice("keygen", "-o", folder / "stranger.key")
        self.filter = Filter(folder, security__server_key=folder / "server.key", security__clients=folder / "clients")

    def client(self, name, rights):
        sluice("keygen", "-o", self.folder / f"{name}.key", "--rights", rights, "--clients", self.folder / "clients")

    def words(self, name, timeout="2"):
        return ["--key", self.folder / f"{name}.key", "--server-key", self.folder / "server.pub", "--timeout", timeout]

    def send(self, name, code=0, more=(), stdin=LINES):
        return sluice("send", "--to", self.filter.ingest, "--json", *self.words(name), *more, code=code, stdin=stdin)

    def recv(self, name, code=0, more=()):
        return sluice("recv", "--from", self.filter.egress, *self.words(name), *more, code=code)

    def peer(self, name, endpoint, timeout_ms=1500, routing_id=None):
        server, _ = read_key(self.folder / "server.pub")
        return Peer(endpoint, timeout_ms, (*read_key(self.folder / f"{name}.key"), server), routing_id)

    def offset(self):
        return json.loads(self.filter.state_command("ls", "--json"))["next_offset"]


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path)
    with one.filter:
        yield one


def test_right_keys_send_and_receive(house):
    assert json.loads(house.send("writer").stdout)["kept"] == 5
    assert len(house.recv("reader").stdout.splitlines()) == 5
    assert json.loads(house.send("both", stdin='{"id":"x","text":"one more of them"}\n').stdout)["kept"] == 1
    assert len(house.recv("both", more=["--all", "--offset", "0"]).stdout.splitlines()) == 6
    names = {row["name"] for row in json.loads(house.filter.state_command("ls", "--json"))["producers"]}
    assert names == {"writer", "both"}


def test_a_peer_without_curve_gets_nothing(house):
    house.send("writer")
    for endpoint in (house.filter.ingest, house.filter.egress):
        with Peer(endpoint, timeout_ms=700) as plain:
            plain.send(fetch=session_pb.Fetch(offset=0))
            with pytest.raises(zmq.Again):
                plain.receive()
    address = ("127.0.0.1", int(house.filter.egress.rsplit(":", 1)[1]))
    with socket.create_connection(address, timeout=5) as plain:  # a NULL greeting is hung up on
        plain.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\0NULL" + b"\0" * 48)
        received = part = plain.recv(1000)
        while part:
            part = plain.recv(1000)
            received += part
    assert b"text number" not in received


@pytest.mark.parametrize("name,verb", [("reader", "send"), ("admin", "send"), ("stranger", "send"), ("writer", "recv"),
                                       ("admin", "recv"), ("stranger", "recv")])
def test_missing_right_and_unknown_key_are_refused(house, name, verb):
    done = house.send(name, code=78) if verb == "send" else house.recv(name, code=78)
    assert "refused the key" in done.stderr, done.stderr
    assert house.offset() == 0
    assert "AUTH" in house.filter.text()


def test_reference_sets_are_changed_with_the_right_admin_only(house):
    at = ["--from", house.filter.egress]
    sluice("reference", "ls", *at, *house.words("reader"))
    done = sluice("reference", "rm", "x", *at, *house.words("reader"), code=78)
    assert 'lacks the right "admin"' in done.stderr
    done = sluice("reference", "rm", "x", *at, *house.words("boss"), code=1)
    assert "no reference" in done.stderr


def test_samples_are_forgotten_with_the_right_admin_only(house):
    house.send("writer")
    at = ["state", "forget", "a1", "--state", house.filter.state, "--from", house.filter.egress]
    done = sluice(*at, *house.words("reader"), code=78)
    assert 'lacks the right "admin"' in done.stderr
    done = sluice(*at, *house.words("boss"), code=1)
    assert "no such sample" in done.stderr
    identity = json.loads(house.recv("reader").stdout.splitlines()[0])["id"]
    done = sluice(*at[:2], identity, *at[3:], *house.words("boss"))
    assert "forgotten" in done.stdout


def test_no_key_and_wrong_server_key_say_so(house):
    for words in ([], ["--key", house.folder / "writer.key", "--server-key", house.folder / "stranger.pub"]):
        for verb, endpoint in (("send", ["--to", house.filter.ingest]), ("recv", ["--from", house.filter.egress])):
            done = subprocess.run([SLUICE, verb, *map(str, endpoint + words), "--timeout", "1"], input=LINES,
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode in (75, 78) and "key" in done.stderr, done
    assert house.offset() == 0


def test_key_files_that_are_none_are_named(house):
    (house.folder / "bad.key").write_text("public nonsense\n")
    (house.folder / "open.key").write_bytes((house.folder / "writer.key").read_bytes())
    (house.folder / "open.key").chmod(0o644)
    for name in ("bad", "open", "none"):
        done = house.send(name, code=78)
        assert f"{name}.key" in done.stderr, done.stderr


def test_another_producers_name_is_refused(house):
    done = house.send("writer", code=78, more=["--producer", "both"])
    assert "producer" in done.stderr, done.stderr
    with house.peer("writer", house.filter.ingest) as peer:
        kind, error, _ = peer.hello("both")
        assert kind == "error" and error_name(error) == "FORBIDDEN" and "key" in error.text
        peer.put(0, [sample("a", "text")])
        kind, error, _ = peer.receive()
        assert error_name(error) == "UNKNOWN_PRODUCER"
        kind, _, _ = peer.hello("writer")
        assert kind == "welcome"
        assert peer.put_acknowledged(0, [sample("a", "text")]).kept == 1


def test_a_client_cannot_borrow_the_routing_id_of_another(house):
    """A socket that claims another's ZeroMQ identity stays who its key says."""
    with house.peer("writer", house.filter.ingest, routing_id=b"mine") as first:
        first.hello("writer")
        assert first.put_acknowledged(0, [sample("a", "text")]).kept == 1
        with house.peer("both", house.filter.ingest, routing_id=b"mine") as thief:
            thief.put(1, [sample("b", "under another's name")])
            kind, error, _ = thief.receive()
            assert kind == "error" and error_name(error) == "FORBIDDEN", (kind, error)
            kind, error, _ = thief.hello("writer")
            assert kind == "error" and error_name(error) == "FORBIDDEN", (kind, error)
    assert house.offset() == 1


def test_revoked_file_cuts_off_new_and_open_connections(house):
    with house.peer("writer", house.filter.ingest) as writer, house.peer("reader", house.filter.egress) as reader:
        writer.hello("writer")
        writer.put_acknowledged(0, [sample("a", "text before")])
        assert reader.fetch(offset=0)[1].count == 1
        (house.folder / "clients" / "writer.key").unlink()
        (house.folder / "clients" / "reader.key").unlink()
        time.sleep(0.4)
        writer.put(1, [sample("b", "text behind")])
        kind, error, _ = writer.receive()
        assert kind == "error" and error_name(error) == "FORBIDDEN" and "key" in error.text, (kind, error)
        kind, error, _ = reader.fetch(offset=0)
        assert kind == "error" and error_name(error) == "FORBIDDEN" and "key" in error.text, (kind, error)
    assert house.offset() == 1
    for done in (house.send("writer", code=78), house.recv("reader", code=78)):
        assert "refused the key" in done.stderr
    house.client("later", "ingest,egress")  # and a new one gets in, without a restart
    time.sleep(0.4)
    assert json.loads(house.send("later").stdout)["kept"] == 5


def test_narrowed_rights_cut_off_too(house):
    with house.peer("both", house.filter.egress) as peer:
        assert peer.fetch(offset=0)[0] == "records"
        path = house.folder / "clients" / "both.key"
        path.write_text(path.read_text().replace("ingest egress", "ingest"))
        time.sleep(0.4)
        kind, error, _ = peer.fetch(offset=0)
        assert kind == "error" and error_name(error) == "FORBIDDEN"
    assert json.loads(house.send("both").stdout)["kept"] == 5


# --- starting ---

def start(tmp_path, **settings):
    """Exit code and words of a `run` that is expected to end at once."""
    one = Filter(tmp_path, **settings)
    return subprocess.run(one.command(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("key", ["listen.ingest", "listen.egress", "listen.pull", "listen.push"])
def test_listener_beyond_loopback_without_keys_does_not_start(tmp_path, key):
    done = start(tmp_path, **{key: f"tcp://*:{free_port()}"})
    assert done.returncode == 78 and key in done.stderr and "security.server_key" in done.stderr, done.stderr
    assert "security.insecure" in done.stderr or "insecure" in done.stderr
    # nothing was made and nothing listened


def test_listener_beyond_loopback_starts_when_told_insecure(tmp_path):
    one = Filter(tmp_path, security__insecure="true")
    port = one.ingest.rsplit(":", 1)[1]
    one.settings["listen.ingest"] = f"tcp://*:{port}"
    with one, Peer(f"tcp://127.0.0.1:{port}") as peer:
        assert peer.hello("p")[0] == "welcome"
        one.stop()


def test_listener_beyond_loopback_starts_with_keys(tmp_path):
    house = House(tmp_path)
    port = house.filter.ingest.rsplit(":", 1)[1]
    house.filter.settings["listen.ingest"] = f"tcp://*:{port}"
    with house.filter:
        assert json.loads(house.send("writer").stdout)["kept"] == 5
        with Peer(f"tcp://127.0.0.1:{port}", timeout_ms=700) as plain:
            plain.send(hello=session_pb.Hello(wire=1, producer="p"))
            with pytest.raises(zmq.Again):
                plain.receive()


def test_half_configured_keys_do_not_start(tmp_path):
    house = House(tmp_path)
    for settings, part in (({"security.server_key": house.folder / "server.key"}, "security.clients"),
                           ({"security.clients": house.folder / "clients"}, "security.server_key"),
                           ({"security.server_key": house.folder / "none.key",
                             "security.clients": house.folder / "clients"}, "none.key"),
                           ({"security.server_key": house.folder / "server.key",
                             "security.clients": house.folder / "nowhere"}, "nowhere")):
        done = start(tmp_path, **settings)
        assert done.returncode == 78 and part in done.stderr, (settings, done.stderr)
    shutil.copy(house.folder / "clients" / "writer.key", house.folder / "clients" / "twin.key")
    done = start(tmp_path, **house.filter.settings)
    assert done.returncode == 78 and "twin" in done.stderr, done.stderr


def test_pull_and_push_ask_for_keys_too(tmp_path):
    house = House(tmp_path)
    pull, push = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    house.filter.settings |= {"listen.pull": pull, "listen.push": push}
    server, _ = read_key(house.folder / "server.pub")

    def plain(kind, endpoint, name):
        one = Peer.context.socket(kind)
        one.setsockopt(zmq.LINGER, 0)
        one.setsockopt(zmq.RCVTIMEO, 1500)
        one.setsockopt(zmq.SNDTIMEO, 1500)
        one.setsockopt(zmq.IMMEDIATE, 1)
        if name is not None:
            one.curve_publickey, one.curve_secretkey = read_key(house.folder / f"{name}.key")
            one.curve_serverkey = server
        one.connect(endpoint)
        return one

    with house.filter:
        for name in (None, "reader", "stranger"):
            one = plain(zmq.PUSH, pull, name)
            with pytest.raises(zmq.Again):
                one.send(sample("bad", "never taken").SerializeToString())
            one.close()
        into = plain(zmq.PULL, push, "reader")
        outside = plain(zmq.PULL, push, "writer")
        out = plain(zmq.PUSH, pull, "writer")
        out.send(sample("good", "taken and passed on").SerializeToString())
        assert Batch.FromString(b"\n" + bytes([len(got := into.recv())]) + got).samples[0].id == "good"
        with pytest.raises(zmq.Again):
            outside.recv()
        for one in (into, outside, out):
            one.close()
