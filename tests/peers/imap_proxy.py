"""A proxy in front of an IMAP server that does something at the n-th line of its client.

`before` runs with the line in hand and not yet passed on; `after` runs when the server has
answered it and the answer is not yet passed back. If it says so (by returning True), both
connections end there and then.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


class ImapProxy:
    """Counts the lines of all its clients, from 1."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.at = 0
        self.moment = "before"
        self.strike: Callable[[], None] = lambda: None
        self.lines: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def arm(self, at: int, moment: str, strike: Callable[[], None]) -> None:
        """At line `at`, `before` or `after` the server acts on it, call `strike` and end the connection."""
        self.lines.clear()
        self.at, self.moment, self.strike = at, moment, strike

    def accept(self) -> None:
        """Serve clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server, suppress(OSError):
            lines, answers = client.makefile("rb"), server.makefile("rb")
            answer = answers.readline()
            tag = b"*"
            client.sendall(answer)
            for line in lines:
                if not answer.rpartition(b"\r\n+")[1] and not answer.startswith(b"+"):
                    tag = line.split(b" ", 1)[0]  # else it goes on with the command before
                self.lines.append(line)
                struck = len(self.lines) == self.at
                if struck and self.moment == "before":
                    self.strike()
                    return
                server.sendall(line)
                answer = b"".join(_answer(tag, answers))
                if struck:
                    self.strike()
                    return
                client.sendall(answer)


def _answer(tag: bytes, answers: BinaryIO) -> Iterator[bytes]:
    """Everything the server says up to its tagged answer, or to its wish for more."""
    for said in answers:
        yield said
        if said.endswith(b"}\r\n"):
            yield answers.read(int(said.rsplit(b"{", 1)[1][:-3]))
        elif said.startswith((tag + b" ", b"+")):
            return


@contextmanager
def imap_proxy(host: str, port: int) -> Iterator[ImapProxy]:
    """A proxy that listens on loopback until this ends."""
    proxy = ImapProxy(host, port)
    threading.Thread(target=proxy.accept, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()
