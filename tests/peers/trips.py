"""A proxy in front of an IMAP server that counts round trips: how often a client speaks after it was told something.

What is sent without waiting for an answer is one of them, however many commands and segments it is.
Answers are passed on a moment late, so that no second segment comes behind the answer to the first.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LATE = 0.003
"""Seconds, far above what two segments are apart on loopback."""


class Talk:
    """One connection."""

    def __init__(self) -> None:
        self.trips: list[bytes] = []
        """What the client said in each of them."""
        self._told = True

    def said(self, octets: bytes) -> None:
        if self._told:
            self.trips.append(b"")
        self._told = False
        self.trips[-1] += octets

    def told(self) -> None:
        self._told = True


class TripCounter:
    """Passes everything on."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.host = "127.0.0.1"
        self.talks: list[Talk] = []
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def trips(self) -> list[bytes]:
        """Those of all connections, one connection after the other."""
        return [trip for talk in self.talks for trip in talk.trips]

    def forget(self) -> None:
        """Count anew."""
        for talk in self.talks:
            talk.trips.clear()
            talk.told()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk = Talk()
                self.talks.append(talk)
                threading.Thread(target=_pass_on, args=(client, server, talk), daemon=True).start()
                threading.Thread(target=_pass_back, args=(server, client, talk), daemon=True).start()


def _pass_on(client: socket.socket, server: socket.socket, talk: Talk) -> None:
    with suppress(OSError):
        while octets := client.recv(65_536):
            talk.said(octets)
            server.sendall(octets)
    with suppress(OSError):
        server.shutdown(socket.SHUT_WR)


def _pass_back(server: socket.socket, client: socket.socket, talk: Talk) -> None:
    with suppress(OSError), client, server:
        while octets := server.recv(65_536):
            time.sleep(LATE)
            talk.told()
            client.sendall(octets)


@contextmanager
def trip_counter(host: str, port: int) -> Iterator[TripCounter]:
    """A counter that listens on loopback until this ends."""
    counter = TripCounter(host, port)
    try:
        yield counter
    finally:
        counter.close()
