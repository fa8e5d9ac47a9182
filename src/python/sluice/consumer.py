"""consumer.py - reads kept samples: for a group whose progress the filter keeps, or by offset.

One request at a time; on a new connection it is asked again: a read changes nothing, COMMIT and REJECT are idempotent,
and a leased range whose answer was lost is given out again when its lease ends.
"""

import os
import socket

from sluice.errors import SluiceError, Timeout, code_name, of_error
from sluice.link import CONNECTED, Link, now
from sluice.v1.sample_pb2 import Batch
from sluice.v1.session_pb2 import Commit, Fetch, Ping, Reject, ToFilter

FRAME_BYTES = (32 << 20) + (4 << 20)  # a batch, or one image that is larger than any batch
_PING_EVERY, _RETRY = 1.0, 0.2


def offset_of(sample):
    """The place of a received sample in the filter's log."""
    return sample.annotations[-1].offset


class Consumer:
    """Reads from the egress port of a filter.

    group     name of a consumer group: iterating gives each kept sample to one of its consumers
    follow    wait for more at the end of the log instead of ending the iteration
    lease     seconds that what was given out stays this consumer's; then it is given to another (0: the filter's choice)
    all       dropped samples too
    timeout   seconds without any answer, after which a call raises Timeout

    What was given out and not committed comes again: after close(), or when its lease ends.
    """

    def __init__(self, endpoint, group="", *, follow=False, lease=0.0, all=False, max_bytes=0, timeout=30.0,
                 name=None, key=None, server_key=None):
        self._link_arguments = (endpoint, FRAME_BYTES, key, server_key)
        self._endpoint, self.group, self._follow, self._all = endpoint, group, follow, all
        self._lease_ms, self._max_bytes, self._timeout = int(lease * 1000), max_bytes, timeout
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._uncommitted = []  # ranges [first, next) that were given out
        self._link = Link(*self._link_arguments)
        self._closed = False

    def close(self):
        """Closes without committing."""
        self._closed = True
        if self._link is not None:
            self._link.close()
            self._link = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- a group ---

    def __iter__(self):
        """Samples in the order of the log (with several consumers: of each one's ranges). The verdict of a sample is
        sample.annotations[-1]."""
        if not self.group:
            raise ValueError("iterating needs a group; read(offset) does without")
        while True:
            records, samples = self.fetch(after_commits=True)
            if records.next_offset <= records.first_offset:
                if not self._follow:
                    return
                continue
            given = [records.first_offset, records.first_offset]
            self._uncommitted.append(given)
            for i, sample in enumerate(samples):
                given[1] = records.next_offset if i + 1 == len(samples) else offset_of(sample) + 1
                yield sample
            given[1] = records.next_offset

    def commit(self):
        """Everything that the iteration has given out so far is done with, the last sample included."""
        while self._uncommitted:
            first, following = self._uncommitted[0]
            if following > first:
                self._ask("committed", commit=Commit(group=self.group, first_offset=first, next_offset=following))
            if len(self._uncommitted) == 1:
                self._uncommitted[0][0] = following  # more of this range may be given out
                return
            del self._uncommitted[0]

    def reject(self, sample, reason):
        """This sample (or the one at this offset) cannot be used: it becomes a dead letter and counts as committed."""
        offset = sample if isinstance(sample, int) else offset_of(sample)
        self._ask("committed", reject=Reject(group=self.group, offset=offset, reason=reason))

    # --- by offset ---

    def read(self, offset=0, *, follow=None, shard=0, shards=0):
        """(offset, sample) from `offset` on. A trainer stores offset + 1 in its checkpoint and reads on from there."""
        follow = self._follow if follow is None else follow
        while True:
            records, samples = self.fetch(offset=offset, shard=shard, shards=shards, follow=follow)
            for sample in samples:
                yield offset_of(sample), sample
            if records.next_offset <= offset and not follow:
                return
            offset = max(offset, records.next_offset)

    # --- requests ---

    def fetch(self, *, offset=None, after_commits=False, shard=0, shards=0, follow=None):
        """One FETCH: (Records, list of samples)."""
        follow = self._follow if follow is None else follow
        request = Fetch(all=self._all, max_bytes=self._max_bytes, wait_ms=5000 if follow else 0, shard=shard,
                        shards=shards)
        if after_commits:
            request.group, request.consumer, request.lease_ms = self.group, self._name, self._lease_ms
            request.after_commits = True
        else:
            request.offset = offset or 0
        records, body = self._ask("records", request.wait_ms / 1000, fetch=request)
        return records, list(Batch.FromString(body).samples)

    def _ask(self, wanted, wait=0.0, **kind):
        if self._closed:
            raise SluiceError("this consumer is closed")
        if self._link is None:  # after a timeout: the late answer must not be taken for the next one
            self._link = Link(*self._link_arguments)
        request = ToFilter(**kind)
        began = heard = now()
        asked, ask_at, ping_at, waited_for = False, began, began, None
        while True:
            time = now()
            if time - heard >= self._timeout or time - began >= wait + self._timeout:
                trouble = waited_for or self._link.trouble
                self._link.close()
                self._link = None
                raise Timeout(f"no answer from {self._endpoint} for {self._timeout:g} s: {trouble}")
            if not asked and time >= ask_at:
                asked = self._link.send(request)
            elif time - heard >= _PING_EVERY and time - ping_at >= _PING_EVERY:
                ping_at = time
                self._link.send(ToFilter(ping=Ping()))
            event = self._link.wait(0.05, not asked and time >= ask_at)
            if event is None:
                continue
            if event == CONNECTED:
                asked = False
                continue
            message, body = event
            heard = now()
            answer = message.WhichOneof("kind")
            if answer == wanted:
                return (message.records, body) if wanted == "records" else getattr(message, wanted)
            if answer == "error":
                if not message.error.retry:
                    raise of_error(self._endpoint, message.error)
                waited_for = code_name(message.error)
                asked, ask_at = False, heard + (message.error.retry_after_ms / 1000 or _RETRY)
