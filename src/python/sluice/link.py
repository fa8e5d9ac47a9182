"""link.py - one DEALER connection to a filter: frames out, frames in, and when it is a new one.

libzmq reconnects silently and drops what was queued (IMMEDIATE), and the filter then sees a stranger, so a monitor
tells every new connection: the owner says HELLO or asks again. Nothing is sent before the monitor says so.
"""

import time

import zmq
from zmq.utils.monitor import recv_monitor_message

from sluice.errors import Refused
from sluice.v1.session_pb2 import FromFilter

_OPTIONS = {
    zmq.LINGER: 0, zmq.IMMEDIATE: 1, zmq.SNDHWM: 1000, zmq.RCVHWM: 1000, zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 2000, zmq.CONNECT_TIMEOUT: 3000, zmq.HANDSHAKE_IVL: 3000, zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 5, zmq.TCP_KEEPALIVE_INTVL: 2, zmq.TCP_KEEPALIVE_CNT: 3, zmq.IPV6: 1,
}
_EVENTS = (zmq.EVENT_CONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
           | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
           | zmq.EVENT_HANDSHAKE_FAILED_AUTH)

CONNECTED = "connected"  # what wait() may give instead of a message


def read_key(path, name):
    """The `public` or `secret` line of a key file of `sluice keygen`."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[0] == name:
                return words[1].encode()
    raise ValueError(f"{path} has no '{name}' line")


class Link:
    def __init__(self, endpoint, max_frame_bytes, key=None, server_key=None):
        self.endpoint = endpoint
        self.connected = False
        self.trouble = "nothing answers there"
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._monitor = None
        try:
            for option, value in _OPTIONS.items():
                self._socket.setsockopt(option, value)
            self._socket.setsockopt(zmq.MAXMSGSIZE, max_frame_bytes)
            if key is not None:
                if server_key is None:
                    raise ValueError("a key needs the filter's public key too (server_key)")
                self._socket.curve_publickey = read_key(key, "public")
                self._socket.curve_secretkey = read_key(key, "secret")
                self._socket.curve_serverkey = read_key(server_key, "public")
            self._monitor = self._socket.get_monitor_socket(_EVENTS)
            self._socket.connect(endpoint)
        except BaseException:
            self.close()
            raise

    def close(self):
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)  # a traceback may hold it, and term() waits for every socket
            self._monitor = None
        self._socket.close(0)
        self._context.term()

    def send(self, message, batch=None):
        """False: not connected, or ZeroMQ's own queue is full; nothing was sent."""
        if not self.connected:
            return False
        frames = [message.SerializeToString()] + ([batch] if batch is not None else [])
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def wait(self, seconds, want_write=False):
        """The next event: CONNECTED, a (FromFilter, batch bytes) pair, or None when the time is over."""
        poller = zmq.Poller()
        poller.register(self._monitor, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN | (zmq.POLLOUT if want_write and self.connected else 0))
        poller.poll(max(0, seconds * 1000))
        while self._monitor.poll(0):
            if self._take_event(recv_monitor_message(self._monitor)["event"]):
                return CONNECTED
        try:
            frames = self._socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        return FromFilter.FromString(frames[0]), frames[1] if len(frames) > 1 else b""

    def _take_event(self, event):
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connected, self.trouble = True, "connected, but it does not answer"
            return True
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise Refused(f"{self.endpoint} refused the key: it is not in the filter's clients folder, or its rights "
                          "do not include this", "FORBIDDEN")
        if event == zmq.EVENT_CONNECTED:
            self.trouble = "it takes connections, but there is no handshake (keys? stopped? no filter?)"
        elif event in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL):
            self.connected, self.trouble = False, "the handshake fails (keys on one side only, or a wrong one?)"
        else:
            self.trouble = "the connection was lost" if self.connected else self.trouble
            self.connected = False
        return False


def now():
    return time.monotonic()
