"""producer.py - sends samples, keeps what is not acknowledged, and sends it again when it must.

Everything happens inside send(), poll(), flush() and close(); there is no thread. Not for use from several threads.
"""

import collections
import dataclasses

from sluice.errors import Fenced, Forgotten, SluiceError, Timeout, code_name, of_error
from sluice.link import CONNECTED, Link, now
from sluice.v1.sample_pb2 import Sample
from sluice.v1.session_pb2 import Hello, Ping, Put, ToFilter

try:  # optional: without it the batch goes unchecked (TCP has its own checksum)
    from xxhash import xxh3_64_intdigest as _checksum
except ImportError:
    def _checksum(_):
        return 0

BATCH_BYTES = 4 << 20
MESSAGE_BYTES = 33 << 20  # of a batch that is one sample: an image
FRAME_BYTES = 64 << 10
_HELLO_EVERY, _PING_EVERY, _GAP_EVERY, _STALLED, _RETRY = 1.0, 1.0, 1.0, 5.0, 0.2


@dataclasses.dataclass
class Counts:
    """What the filter said about the samples of this Producer."""
    sent: int = 0
    acknowledged: int = 0
    kept: int = 0
    flagged: int = 0
    dropped: int = 0
    refused: int = 0
    redelivered: int = 0


@dataclasses.dataclass
class _Pending:
    sequence: int
    count: int
    body: bytes

    @property
    def end(self):
        return self.sequence + self.count


def make_sample(id, text=None, source="", *, payload=b"", media_type="", attributes=None, event_time_us=0, cost=0.0,
                **fields):
    """A Sample; `text` is its payload in UTF-8."""
    sample = Sample(id=id, source=source, payload=text.encode() if text is not None else payload,
                    media_type=media_type, event_time_us=event_time_us, cost=cost, **fields)
    for name, value in (attributes or {}).items():
        sample.attributes[name] = str(value)
    return sample


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Producer:
    """Sends samples to the ingest port of a filter.

    name        stable: the filter remembers under it how far this producer came (`next_sequence`)
    timeout     seconds without any answer, after which a call raises Timeout
    on_fault    called with (sequence, reason, text) for every sample that the filter refused
    linger      seconds that a sample waits for others of its batch, as far as send() or poll() are called
    Leaving the `with` block flushes, unless an exception is on its way.
    """

    def __init__(self, endpoint, name, *, timeout=30.0, batch_samples=256, batch_bytes=256 << 10, linger=0.1,
                 on_fault=None, key=None, server_key=None):
        self.name = name
        self.counts = Counts()
        self._endpoint, self._timeout, self._on_fault = endpoint, timeout, on_fault
        self._batch_samples, self._batch_bytes, self._linger = min(batch_samples, 4096), batch_bytes, linger
        self._buffer, self._buffer_bytes, self._buffer_since = [], 0, 0.0
        self._pending = collections.deque()  # not acknowledged; the first _n_sent are under way
        self._n_sent = self._in_flight = self._kept_bytes = 0
        self._next = self._acknowledged = self._window = self._max_batch = 0
        self._opened = self._welcomed = self._blocked = False
        self._gap = None
        self._hello_at = self._rewound_at = -10.0
        self._ping_at = self._heard_at = self._progress_at = self._hold_until = 0.0
        self._failed = None
        self._link = Link(endpoint, FRAME_BYTES, key, server_key)
        try:
            self._wait(lambda: self._welcomed)
        except BaseException:
            self._link.close()
            raise

    # --- for users ---

    @property
    def next_sequence(self):
        """How many samples of this name were given so far, those of earlier runs included."""
        return self._next + len(self._buffer)

    def send(self, sample=None, text=None, *, id=None, **fields):
        """Takes a Sample, the bytes of one, or what make_sample() takes. Waits while the window is full."""
        if sample is None:
            sample = make_sample(id, text, **fields)
        data = sample if isinstance(sample, (bytes, bytearray, memoryview)) else sample.SerializeToString()
        framed = b"\x0a" + _varint(len(data)) + bytes(data)
        limit = self._max_batch if self._max_batch < BATCH_BYTES else MESSAGE_BYTES
        if len(framed) > limit:
            raise ValueError(f"a sample of {len(data)} bytes is over the {limit} that {self._endpoint} takes")
        if self._buffer and self._buffer_bytes + len(framed) > min(self._batch_bytes, self._max_batch):
            self._put()
        if not self._buffer:
            self._buffer_since = now()
        self._buffer.append(framed)
        self._buffer_bytes += len(framed)
        if len(self._buffer) >= self._batch_samples or now() - self._buffer_since >= self._linger:
            self._put()

    def poll(self):
        """Sends and reads what is possible without waiting; for programs that pause between sends."""
        if self._buffer and now() - self._buffer_since >= self._linger:
            self._put()
        self._pump(0)

    def flush(self):
        """Waits until every sample is durable at the filter."""
        self._put()
        self._wait(lambda: not self._pending)

    def close(self):
        """Closes without flushing; what is not acknowledged must be sent again."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    # --- what is kept ---

    def _put(self):
        if not self._buffer:
            return
        size = self._buffer_bytes
        self._wait(lambda: self._window > 0 and (not self._pending or self._kept_bytes + size <= self._window))
        self._pending.append(_Pending(self._next, len(self._buffer), b"".join(self._buffer)))
        self._next += len(self._buffer)
        self.counts.sent += len(self._buffer)
        self._kept_bytes += size
        self._buffer, self._buffer_bytes = [], 0
        self._pump(0)

    def _rewind(self, sequence):
        """Sends again from the batch that holds `sequence`."""
        self._n_sent = sum(1 for batch in self._pending if batch.end <= sequence)
        self._in_flight = sum(len(self._pending[i].body) for i in range(self._n_sent))
        self._gap, self._rewound_at = None, now()

    # --- what the filter says ---

    def _take_acknowledged(self, sequence):
        if sequence > self._next:
            raise Fenced(f"another producer named '{self.name}' has sent to {self._endpoint}: two at once cannot share "
                         "a name", "FENCED")
        self._progress_at = now()
        if sequence <= self._acknowledged:
            return
        self.counts.acknowledged += sequence - self._acknowledged
        self._acknowledged = sequence
        while self._pending and self._pending[0].end <= sequence:
            size = len(self._pending.popleft().body)
            self._kept_bytes -= size
            if self._n_sent > 0:
                self._n_sent -= 1
                self._in_flight -= size

    def _check_not_forgotten(self, sequence):
        if sequence < self._acknowledged:
            raise Forgotten(f"the filter at {self._endpoint} waits for sample {sequence} of producer '{self.name}' but "
                            f"acknowledged all below {self._acknowledged}: was its state replaced?")

    def _take_welcome(self, welcome):
        self._window, self._max_batch = welcome.max_in_flight_bytes, welcome.max_batch_bytes
        if not self._opened:
            self._opened = True
            self._next = self._acknowledged = welcome.next_sequence
        self._check_not_forgotten(welcome.next_sequence)
        self._take_acknowledged(welcome.next_sequence)
        if not self._welcomed:
            self._welcomed = True
            self._rewind(welcome.next_sequence)

    def _take_ack(self, ack):
        for name in ("kept", "flagged", "dropped", "refused", "redelivered"):
            setattr(self.counts, name, getattr(self.counts, name) + getattr(ack, name))
        self._window = ack.max_in_flight_bytes
        self._take_acknowledged(ack.next_sequence)
        for fault in ack.faults:
            if self._on_fault is not None:
                self._on_fault(fault.sequence, fault.reason, fault.text)

    def _take_error(self, error):
        name = code_name(error)
        if name == "UNKNOWN_PRODUCER":
            if self._welcomed:  # else a HELLO is under way already
                self._welcomed, self._hello_at = False, -10.0
        elif name == "GAP":
            # Every batch behind the hole brings a GAP of its own: going back is limited to once a second.
            self._check_not_forgotten(error.expected_sequence)
            self._gap = error.expected_sequence
        elif error.retry:
            wait = error.retry_after_ms / 1000 or _RETRY
            self._hold_until = now() + wait
            self._rewind(self._acknowledged)
            if not self._welcomed:
                self._hello_at = now() + wait - _HELLO_EVERY
        else:
            raise of_error(self._endpoint, error)

    def _take(self, message):
        self._heard_at = now()
        kind = message.WhichOneof("kind")
        if kind == "welcome":
            self._take_welcome(message.welcome)
        elif kind == "ack" and self._opened:
            self._take_ack(message.ack)
        elif kind == "error":
            self._take_error(message.error)

    # --- what is sent ---

    def _send_hello(self):
        if self._link.send(ToFilter(hello=Hello(wire=1, producer=self.name))):
            self._hello_at = now()

    def _send_batches(self):
        self._blocked = False
        while self._n_sent < len(self._pending):
            batch = self._pending[self._n_sent]
            # One batch may always be under way, or one larger than the window would wait forever.
            if self._window == 0 or (self._in_flight > 0 and self._in_flight + len(batch.body) > self._window):
                return
            put = Put(sequence=batch.sequence, count=batch.count, xxh3=_checksum(batch.body))
            if not self._link.send(ToFilter(put=put), batch.body):
                self._blocked = True
                return
            if self._in_flight == 0:
                self._progress_at = now()
            self._n_sent += 1
            self._in_flight += len(batch.body)

    def _send_due(self):
        time = now()
        if not self._welcomed:
            if time - self._hello_at >= _HELLO_EVERY:
                self._send_hello()
            return
        if self._gap is not None and self._acknowledged > self._gap:
            self._gap = None
        if self._gap is not None and time - self._rewound_at >= _GAP_EVERY:
            self._rewind(self._gap)
        if time >= self._hold_until:
            self._send_batches()
        if (self._in_flight > 0 or self._window == 0) and time - self._progress_at >= _STALLED:
            self._progress_at = time  # the last ACK may be lost; WELCOME tells the same numbers
            self._send_hello()
        elif time - self._heard_at >= _PING_EVERY and time - self._ping_at >= _PING_EVERY:
            self._ping_at = time
            self._link.send(ToFilter(ping=Ping()))

    def _pump(self, seconds):
        """Sends what may go, waits for one event and takes all that are there. An error is for good."""
        if self._link is None:
            raise SluiceError("this producer is closed")
        if self._failed is not None:
            raise self._failed
        try:
            while True:
                self._send_due()
                event = self._link.wait(seconds, self._blocked)
                if event is None:
                    return
                if event == CONNECTED:
                    self._welcomed, self._hello_at = False, -10.0
                else:
                    self._take(event[0])
                seconds = 0
        except SluiceError as error:
            self._failed = error
            raise

    def _wait(self, condition):
        began = now()
        self._pump(0)
        while not condition():
            if now() - max(began, self._heard_at) >= self._timeout:
                raise Timeout(f"no answer from {self._endpoint} for {self._timeout:g} s: {self._link.trouble}")
            self._pump(0.05)
