"""A second mail client that lies in IDLE on the inbox, as a phone does: what it is told of its owner may see."""

import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.peers.onlooker import MailServer


@dataclass
class Sightings:
    """What came into sight, and how long each stood there as far as this client was told."""

    came: int = 0
    seconds: list[float] = field(default_factory=list)
    """Of each that has gone again."""
    standing: list[float | None] = field(default_factory=list)
    """By sequence number: since when each has been in sight; None: since before this client came."""


class Idler:
    """Notes EXISTS and EXPUNGE as they come."""

    def __init__(self, server: MailServer, user: str) -> None:
        self.seen = Sightings()
        self._socket = socket.create_connection((server.host, server.port))
        self._file = self._socket.makefile("rb")
        self._file.readline()
        secret = b64encode(f"\0{user}\0{server.password}".encode()).decode()
        self._command(f"A1 AUTHENTICATE PLAIN {secret}")
        for line in self._command("A2 SELECT INBOX"):
            if match := re.match(rb"\* (\d+) EXISTS", line):
                self.seen.standing = [None] * int(match[1])
        self._socket.sendall(b"A3 IDLE\r\n")
        while not self._file.readline().startswith(b"+"):
            pass
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _command(self, line: str) -> list[bytes]:
        self._socket.sendall(f"{line}\r\n".encode())
        lines = []
        while not (said := self._file.readline()).startswith(line.split()[0].encode()):
            assert said, "hung up"
            lines.append(said)
        assert b" OK" in said, said
        return lines

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            for line in self._file:
                self._hear(line, time.monotonic())

    def _hear(self, line: bytes, now: float) -> None:
        standing = self.seen.standing
        if match := re.match(rb"\* (\d+) EXISTS", line):
            new = int(match[1]) - len(standing)
            self.seen.came += new
            standing += [now] * new
        elif match := re.match(rb"\* (\d+) EXPUNGE", line):
            since = standing.pop(int(match[1]) - 1)
            self.seen.seconds += [now - since] if since is not None else []

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@contextmanager
def idling(server: MailServer, user: str) -> Iterator[Sightings]:
    """Lie in wait for a while."""
    idler = Idler(server, user)
    try:
        yield idler.seen
    finally:
        idler.close()
