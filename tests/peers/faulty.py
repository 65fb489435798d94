"""A bad network in front of a server: it records what is said, octet by octet, and goes wrong at one place of it.

A place is a number of octets of one side, counted over all connections. The octets before it are passed on, none
behind it; then the fault happens. What is said later goes through unharmed, unless the fault is for good.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CLIENT, SERVER = "client", "server"
CLOSE, RESET, SILENCE, DRIP = "close", "reset", "silence", "drip"
"""How a connection ends: FIN, RST, half open and never a word more, an octet now and then."""


@dataclass(frozen=True)
class Place:
    """Behind so many octets of one side."""

    side: str
    octets: int


@dataclass(frozen=True)
class Fault:
    """What happens where; `for_good`: whoever connects after it is turned away at once."""

    place: Place
    kind: str = CLOSE
    for_good: bool = False
    pause: float = 0.2
    """Seconds between two octets that drip."""


class BadNetwork:
    """Accepts on a port of its own and passes on to the server, until `close`."""

    def __init__(self, host: str, port: int, fault: Fault | None = None) -> None:
        self.host = "127.0.0.1"
        self.fault = fault
        self.connections = 0
        self.struck = False
        self.said = {CLIENT: bytearray(), SERVER: bytearray()}
        self.rewrite: Callable[[bytes], bytes] = lambda octets: octets
        """What becomes of octets of the server on their way."""
        self._target = (host, port)
        self._lock = threading.Lock()
        self._hung_up = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def mend(self) -> None:
        """From now on everything goes through."""
        self.fault = None

    def hang_up(self) -> None:
        """End what is open, and wait until the server has been told."""
        self._hung_up.set()
        with self._lock:
            threads, connections = self._threads[1:], tuple(self._open)
        for connection in connections:
            _shut(connection)
        for thread in threads:
            thread.join(5)

    def close(self) -> None:
        """Stop."""
        _shut(self._listener)  # wakes whoever waits in accept
        self._listener.close()
        self.hang_up()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self.struck and self.fault and self.fault.for_good:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open += [client, server]
                    for side, source, sink in ((CLIENT, client, server), (SERVER, server, client)):
                        self._threads.append(
                            threading.Thread(target=self._pass, args=(side, source, sink), daemon=True)
                        )
                        self._threads[-1].start()

    def _pass(self, side: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while octets := source.recv(65_536):
                if side == SERVER:
                    octets = self.rewrite(octets)
                left = self._left(side, octets)
                sink.sendall(octets[:left])
                if left is not None:
                    self._strike(side, source, sink, octets[left:])
                    return
        _shut(sink)

    def _left(self, side: str, octets: bytes) -> int | None:
        """How many of these come before the fault; None: all, and it is not here."""
        with self._lock:
            before, self.said[side] = len(self.said[side]), self.said[side] + octets
            fault = self.fault
            if fault is None or self.struck or fault.place.side != side or len(self.said[side]) < fault.place.octets:
                return None
            self.struck = True
            return max(0, fault.place.octets - before)

    def _strike(self, side: str, source: socket.socket, sink: socket.socket, rest: bytes) -> None:
        assert self.fault
        if self.fault.kind == DRIP:
            for octet in rest:
                sink.sendall(bytes([octet]))
                self._hung_up.wait(self.fault.pause)
        if self.fault.kind in (DRIP, SILENCE):
            self._hung_up.wait(60)
            return
        client = source if side == CLIENT else sink
        if self.fault.kind == RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.shutdown(socket.SHUT_RD)  # whoever waits for it holds it open, and then there is no RST
            client.close()
        for each in (source, sink):
            _shut(each)


@contextmanager
def bad_network(host: str, port: int, fault: Fault | None = None) -> Iterator[BadNetwork]:
    """One, until this ends."""
    network = BadNetwork(host, port, fault)
    try:
        yield network
    finally:
        network.close()


def places(network: BadNetwork) -> list[Place]:
    """Where what was recorded can be cut: before, in and behind each command, each answer and each literal."""
    found = [
        Place(CLIENT, at) for start, end in _lines(network.said[CLIENT]) for at in (start, (start + end) // 2, end)
    ]
    said = bytes(network.said[SERVER])
    found += [Place(SERVER, at) for start, end in _lines(said) for at in ((start + end) // 2, end)]
    for match in re.finditer(rb"\{(\d+)\}\r\n", said):
        start, size = match.end(), int(match[1])
        found += [Place(SERVER, start + at) for at in {0, 1, size // 2, size - 1, size} if at >= 0]
    return sorted(set(found), key=lambda place: (place.side, place.octets))


def _lines(said: bytes | bytearray) -> Iterator[tuple[int, int]]:
    start = 0
    while end := said.find(b"\n", start) + 1:
        yield start, end
        start = end


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
