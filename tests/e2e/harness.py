"""harness.py - a running filter as a process, and the wire spoken by hand, for tests."""

import fcntl
import importlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.path.abspath(os.environ.get("SLUICE", ROOT / "build" / "dev" / "sluice"))
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data"))
os.environ.setdefault("TSAN_OPTIONS", f"suppressions={ROOT}/tests/tsan.supp")
QUICK = bool(os.environ.get("SLUICE_QUICK"))


def protocol():
    """The Python code of the .proto files, made once a process."""
    folder = tempfile.mkdtemp(prefix="sluice-proto-")
    names = ["sample", "annotation", "session"]
    files = [f"sluice/v1/{name}.proto" for name in names]
    subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--python_out={folder}", *files], check=True)
    # The installed package `sluice` must not stand in the way of the generated one.
    sys.path.insert(0, folder)
    for name in [name for name in sys.modules if name == "sluice" or name.startswith("sluice.")]:
        del sys.modules[name]
    modules = [importlib.import_module(f"sluice.v1.{name}_pb2") for name in names]
    sys.path.remove(folder)
    return modules


sample_pb, annotation_pb, session_pb = protocol()
Sample, Batch, Annotation = sample_pb.Sample, sample_pb.Batch, annotation_pb.Annotation
ToFilter, FromFilter, Error = session_pb.ToFilter, session_pb.FromFilter, session_pb.Error


PORTS = []  # lock files of the ports that this process was given, held until its end


def free_port():
    """A port that nobody listens on and that no other test run is given while this one lives. Below the range from
    which the system takes ports for connections: one that it proposes may be gone before a filter listens on it."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"sluice-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.randrange(10000, 32768)
        lock = open(folder / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
            PORTS.append(lock)
            return port
        except OSError:
            lock.close()


def sample(identity, text, source="s", **more):
    return Sample(id=identity, source=source, payload=text.encode(), **more)


def batch_of(samples):
    return Batch(samples=samples).SerializeToString()


class Filter:
    """One `sluice run`, killed and started again on the same state and ports."""

    def __init__(self, folder, environment=None, ports=True, **settings):
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.ingest = f"tcp://127.0.0.1:{free_port()}"
        self.egress = f"tcp://127.0.0.1:{free_port()}"
        self.settings = {"state": self.state, "duplicate.exact.memory": "1MiB", "duplicate.text.memory": "4MiB",
                         "listen.http": ""}
        if ports:
            self.settings |= {"listen.ingest": self.ingest, "listen.egress": self.egress}
        self.settings |= {key.replace("__", "."): value for key, value in settings.items()}
        self.environment = {**os.environ, **(environment or {})}
        self.process = None

    def command(self):
        words = [SLUICE, "run"]
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        return words

    def start(self, ready=True):
        self.log = open(self.folder / "log", "a+b")
        begin = self.log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(self.command(), stderr=self.log, stdout=self.log, env=self.environment)
        deadline = time.monotonic() + 60
        while ready:
            text = pathlib.Path(self.folder / "log").read_bytes()[begin:]
            if b"RUN-READY" in text:
                return self
            if self.process.poll() is not None:
                raise AssertionError(f"sluice ended with {self.process.returncode}: {text.decode()}")
            assert time.monotonic() < deadline, text.decode()
            time.sleep(0.005)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, (code, self.text())
        return code

    def text(self):
        return (self.folder / "log").read_text(errors="replace")

    def state_command(self, *words):
        done = subprocess.run([SLUICE, "state", words[0], "--state", str(self.state), *words[1:]],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind is None:  # in a sanitized build a killed process has no exit code to say it with
            text = self.text()
            assert "Sanitizer" not in text and "runtime error" not in text, text


class Peer:
    """A DEALER that says what a test wants to say."""

    context = zmq.Context()

    def __init__(self, endpoint, timeout_ms=10000, keys=None, routing_id=None):
        """keys: (own public, own secret, the server's public) for CURVE."""
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
        if routing_id is not None:
            self.socket.setsockopt(zmq.ROUTING_ID, routing_id)
        if keys is not None:
            self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = keys
        self.socket.connect(endpoint)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, body=None, **kind):
        frames = [ToFilter(**kind).SerializeToString()]
        self.socket.send_multipart(frames + ([body] if body is not None else []))

    def receive(self):
        frames = self.socket.recv_multipart()
        answer = FromFilter.FromString(frames[0])
        answer_kind = answer.WhichOneof("kind")
        return answer_kind, getattr(answer, answer_kind), frames[1] if len(frames) > 1 else None

    def ask(self, body=None, **kind):
        self.send(body, **kind)
        return self.receive()

    def hello(self, producer, wire=1):
        return self.ask(hello=session_pb.Hello(wire=wire, producer=producer))

    def put(self, sequence, samples, count=None, body=None, xxh3=0):
        body = batch_of(samples) if body is None else body
        count = len(samples) if count is None else count
        self.send(body, put=session_pb.Put(sequence=sequence, count=count, xxh3=xxh3))

    def put_acknowledged(self, sequence, samples, **more):
        """PUT and its ACK; several ACKs where there are many faults."""
        self.put(sequence, samples, **more)
        while True:
            kind, answer, _ = self.receive()
            assert kind == "ack", (kind, answer)
            if answer.next_sequence >= sequence + len(samples):
                return answer

    def fetch(self, **fields):
        return self.ask(fetch=session_pb.Fetch(**fields))

    def commit(self, group, first, following):
        return self.ask(commit=session_pb.Commit(group=group, first_offset=first, next_offset=following))

    def read_all(self, every=False, start=0):
        """All samples by offset, as (offset range, Sample) in log order."""
        samples = []
        while True:
            kind, records, body = self.fetch(offset=start, all=every, max_bytes=1 << 20)
            assert kind == "records", records
            samples += Batch.FromString(body).samples
            if records.next_offset >= records.head_offset:
                return samples
            start = records.next_offset


def error_name(answer):
    return Error.Code.Name(answer.code).removeprefix("CODE_")
