"""Months of looks in minutes: what a daemon holds of memory, threads and connections does not grow with them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.installation import Installation, letter
from tests.peers.dovecot import Dovecot, dovecot

SECONDS = 120.0
WARM = 20.0
"""Seconds after which nothing should be held that was not held before."""
MOST_GROWN = 4.0
"""MB. The leaves of a day's records are some 700 octets each, and are let go of the next day."""


class Way:
    """To a server, over connections that end all at once now and then."""

    def __init__(self, server: Dovecot) -> None:
        self._target = (server.host, server.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.server = replace(server, port=self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        ends, self._open = self._open, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while octets := source.recv(65_536):
            sink.sendall(octets)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def way(server: Dovecot) -> Iterator[Way]:
    opened = Way(server)
    try:
        yield opened
    finally:
        opened.close()


def held(pid: int) -> tuple[float, int, int]:
    """MB in memory, threads, open files."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    said = {words[0]: words[1] for words in lines if len(words) > 1}
    return int(said["VmRSS:"]) / 1024, int(said["Threads:"]), len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.soak
def test_what_a_daemon_holds_does_not_grow_over_thousands_of_looks_and_lost_connections(tmp_path: Path) -> None:
    with dovecot() as server, way(server) as there:
        owner = Installation(tmp_path / "owner", there.server).with_keys()
        owner.put("config.yaml", owner.config.read_text().replace("every: 1s", "every: 0.1s"))
        apart = Installation(tmp_path / "apart", server, user=owner.user)
        daemon = owner.daemon(owner.folder / "log")
        try:
            began, number, warm, most = time.monotonic(), 0, (0.0, 0, 0), (0.0, 0, 0)
            while (at := time.monotonic() - began) < SECONDS:
                number += 1
                sender = "ex@abuser.example" if number % 2 else "nadia@friends.example"
                apart.deliver(letter(sender, number, "x" * 3000 * (number % 3)))
                if number % 100 == 0:
                    there.cut()
                if number % 400 == 0:  # so that looks do not grow longer
                    apart.client.select("INBOX")
                    _, (others,) = apart.client.search(None, "FROM", "nadia@friends.example")
                    apart.client.store(others.replace(b" ", b",").decode(), "+FLAGS", "\\Deleted")
                    apart.client.close()
                time.sleep(0.02)
                now = held(daemon.pid)
                if at < WARM:
                    warm = (max(warm[0], now[0]), max(warm[1], now[1]), max(warm[2], now[2]))
                most = (max(most[0], now[0]), max(most[1], now[1]), max(most[2], now[2]))
            assert daemon.poll() is None
            while owner.nocontact("poll").returncode == 75:
                time.sleep(0.5)
        finally:
            daemon.terminate()
            daemon.wait(30)
        assert most[0] - warm[0] < MOST_GROWN, (warm, most)
        assert most[1] <= warm[1] + 1, (warm, most)
        assert most[2] <= warm[2] + 2, (warm, most)
        apart.client.select("INBOX")
        assert apart.client.search(None, "FROM", "ex@abuser.example")[1] == [b""]
        assert len(owner.acknowledged()) == (number + 1) // 2
