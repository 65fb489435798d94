"""Listening in IDLE: each way in which a sign gets lost elsewhere, on real servers and on one that plays tricks."""

import imaplib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nocontactd.errors import CredentialError
from nocontactd.sources.imap.idle import Listener
from nocontactd.sources.imap.login import Server, connect
from nocontactd.sources.imap.session import Session
from nocontactd.sources.imap.wire import Patience, Wire
from tests.peers.authority import certify
from tests.peers.dovecot import Dovecot, dovecot

LETTER = b"From: a@ok.example\r\n\r\nHello.\r\n"


class Bell:
    """Notes when it was rung."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._rung = threading.Condition()

    def __call__(self) -> None:
        with self._rung:
            self.times.append(time.monotonic())
            self._rung.notify_all()

    def wait(self, count: int, seconds: float = 5.0) -> None:
        """Until it was rung so often."""
        with self._rung:
            assert self._rung.wait_for(lambda: len(self.times) >= count, seconds), f"rung {len(self.times)} times"

    def wait_since(self, moment: float, seconds: float) -> None:
        """Until it was rung after a moment."""
        with self._rung:
            assert self._rung.wait_for(lambda: bool(self.times) and self.times[-1] > moment, seconds), "not rung"


@contextmanager
def listening(port: int, user: str, password: str, bell: Bell, **limits: Any) -> Iterator[Listener]:
    server = Server("home", "127.0.0.1", port, user, "none", None, False, Patience(connect=2, read=5, command=5))
    listener = Listener(lambda: connect(server, lambda: password), bell, lambda: 0.0, **limits)
    thread = threading.Thread(target=listener.run)
    thread.start()
    try:
        yield listener
    finally:
        listener.stop()
        thread.join(5)
        assert not thread.is_alive(), "it did not stop"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def deliver(server: Dovecot, user: str, times: int = 1, folder: str = "INBOX") -> None:
    with imaplib.IMAP4(server.host, server.port) as client:
        client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
        for _ in range(times):
            client.append(folder, "", None, LETTER)


def test_it_rings_when_something_comes_and_once_when_it_begins(server: Dovecot, tmp_path: Path) -> None:
    bell = Bell()
    with listening(server.port, tmp_path.name, server.password, bell):
        bell.wait(1)
        came = time.monotonic()
        deliver(server, tmp_path.name)
        bell.wait_since(came, 5)


class Looker(Bell):
    """Looks each time it is rung, and never else."""

    def __init__(self, server: Dovecot, user: str) -> None:
        super().__init__()
        self.client = imaplib.IMAP4(server.host, server.port)
        self.client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
        self.seen = 0

    def __call__(self) -> None:
        _, data = self.client.status("INBOX", "(MESSAGES)")
        self.seen = int(data[0].split()[-1].rstrip(b")"))
        super().__call__()


def test_nothing_that_comes_just_before_an_idle_or_soon_after_is_missed(server: Dovecot, tmp_path: Path) -> None:
    """imapclient is blind for nearly all of the first: the sign comes in one segment with the continuation."""
    moments = random.Random(7)
    for attempt in range(8):
        user = f"{tmp_path.name}{attempt}"
        looker = Looker(server, user)
        with listening(server.port, user, server.password, looker):
            time.sleep(moments.random() * 0.02)
            deliver(server, user)
            time.sleep(moments.random() * 0.5)
            deliver(server, user)
            until = time.monotonic() + 3
            while looker.seen < 2:
                assert time.monotonic() < until, "a message stands there and nobody looks"
                time.sleep(0.01)
        looker.client.logout()


class Tricks:
    """A server that greets, lets in, opens INBOX, and leaves each IDLE to the test."""

    def __init__(
        self,
        *idles: Callable[[socket.socket, "Lines"], None],
        capability: str = "IMAP4rev1 IDLE",
        fetches: Sequence[bytes] = (),
    ) -> None:
        """`fetches`: what is said to each UID FETCH, before its OK or instead of it; b"" hangs up."""
        self.idles = list(idles)
        self.fetches = list(fetches)
        self.asked: list[bytes] = []
        self.capability = capability
        self.connections: list[float] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections.append(time.monotonic())
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, StopIteration, ValueError):  # a DONE that nobody waits for is no command
            lines = Lines(client)
            client.sendall(b"* OK [CAPABILITY %b] ready\r\n" % self.capability.encode())
            while True:
                tag, command = next(lines).split(b" ", 1)
                self.asked.append(command)
                if command.upper().startswith(b"EXAMINE"):
                    client.sendall(b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1] x\r\n")
                elif command.upper().startswith(b"IDLE"):
                    (self.idles.pop(0) if self.idles else patient)(client, lines)
                elif command.upper().startswith(b"UID FETCH") and self.fetches:
                    if not (said := self.fetches.pop(0)):
                        return
                    client.sendall(said.replace(b"TAG", tag))
                    if b"TAG" in said:
                        continue
                elif command.upper().startswith(b"NOTIFY"):
                    client.sendall(tag + b" NO [BADEVENT (AnnotationChange)] no\r\n")
                    continue
                elif command.upper().startswith(b"CAPABILITY"):
                    client.sendall(b"* CAPABILITY %b\r\n" % self.capability.encode())
                client.sendall(tag + b" OK done\r\n")


class Lines:
    """The lines of the client."""

    def __init__(self, client: socket.socket) -> None:
        self._file = client.makefile("rb")

    def __next__(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise StopIteration
        return line.rstrip()


def patient(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    assert next(lines) == b"DONE"


def in_one_segment(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"* 1 EXISTS\r\n+ idling\r\n* 2 EXISTS\r\n")
    next(lines)


def of_another_folder(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    time.sleep(0.05)
    client.sendall(b"* STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1)\r\n")
    next(lines)


def a_removal(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    time.sleep(0.05)
    client.sendall(b"* 1 EXPUNGE\r\n* 0 RECENT\r\n")
    next(lines)


def octet_by_octet(client: socket.socket, lines: Lines) -> None:
    for octet in b"+ idling\r\n* OK still here\r\n* 1 EXISTS\r\n":
        client.sendall(bytes([octet]))
        time.sleep(0.002)
    next(lines)


def closes(client: socket.socket, _lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    time.sleep(0.05)
    client.shutdown(socket.SHUT_RDWR)


def takes_leave(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n* BYE too long\r\n")
    next(lines)


def deaf(client: socket.socket, _lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    time.sleep(30)


def refuses(client: socket.socket, _lines: Lines) -> None:
    client.sendall(b"")


def tells_no_more(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n* OK [NOTIFICATIONOVERFLOW] too much\r\n")
    next(lines)


def ends_in_half_a_line(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    next(lines)
    client.sendall(b"* 3 EX")


def chatters(client: socket.socket, lines: Lines) -> None:
    client.sendall(b"+ idling\r\n")
    with suppress(OSError):
        for _ in range(20):
            client.sendall(b"* OK still here\r\n")
            time.sleep(0.01)
    next(lines)


@contextmanager
def tricks(*idles: Callable[[socket.socket, Lines], None], **said: Any) -> Iterator[Tricks]:
    server = Tricks(*idles, **said)
    try:
        yield server
    finally:
        server.close()


def test_what_comes_to_another_folder_is_a_sign_where_the_server_tells_of_it(server: Dovecot, tmp_path: Path) -> None:
    bell = Bell()
    deliver(server, tmp_path.name)  # so that there is a mailbox
    with listening(server.port, tmp_path.name, server.password, bell):
        bell.wait(1)
        time.sleep(0.1)
        came = time.monotonic()
        deliver(server, tmp_path.name, folder="Junk")
        bell.wait_since(came, 5)


def test_a_server_that_refuses_to_tell_of_other_folders_is_listened_to_all_the_same() -> None:
    bell = Bell()
    with tricks(in_one_segment, capability="IMAP4rev1 IDLE NOTIFY") as server:
        with listening(server.port, "me", "secret", bell):
            bell.wait(2)
        assert len(server.connections) == 1


@pytest.mark.parametrize("idle", [in_one_segment, octet_by_octet, of_another_folder])
def test_a_sign_is_heard_however_it_is_cut(idle: Callable[[socket.socket, Lines], None]) -> None:
    bell = Bell()
    with tricks(idle) as server, listening(server.port, "me", "secret", bell):
        bell.wait(2)


@pytest.mark.parametrize("idle", [closes, takes_leave, ends_in_half_a_line, refuses, tells_no_more])
def test_a_connection_that_ends_is_made_anew_within_a_second_and_rings(
    idle: Callable[[socket.socket, Lines], None],
) -> None:
    bell = Bell()
    with tricks(idle) as server, listening(server.port, "me", "secret", bell, renew=0.2, answer=0.3):
        until = time.monotonic() + 3
        while len(server.connections) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(server.connections) >= 2
        bell.wait_since(server.connections[1], 2)


def test_a_server_that_fell_silent_is_noticed_when_the_idle_is_renewed() -> None:
    bell = Bell()
    with tricks(deaf) as server, listening(server.port, "me", "secret", bell, renew=0.2, answer=0.2):
        bell.wait(2)
        assert len(server.connections) == 2


def test_what_we_remove_ourselves_is_no_sign() -> None:
    """Or each removal would bring one more look: \\Recent changes, too."""
    bell = Bell()
    with tricks(a_removal) as server, listening(server.port, "me", "secret", bell):
        bell.wait(1)
        time.sleep(0.3)
        assert len(bell.times) == 1


def test_a_connection_is_closed_by_the_thread_that_owns_it_and_no_other(
    server: Dovecot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its number is another connection's before the one who waits has woken up, and he reads what is not his."""
    closers: list[str] = []
    close = Wire.shutdown
    monkeypatch.setattr(Wire, "shutdown", lambda wire: (closers.append(threading.current_thread().name), close(wire)))
    for number in range(5):
        bell = Bell()
        with listening(server.port, f"{tmp_path.name}{number}", server.password, bell):
            bell.wait(1)
    assert len(closers) >= 5
    assert threading.current_thread().name not in closers


def test_whoever_listens_over_tls_is_stopped_at_once(tmp_path: Path) -> None:
    certificate = certify(tmp_path)
    with dovecot(certificate=(certificate.chain, certificate.key)) as server:
        where = Server("home", "localhost", server.tls_port, "me", "tls", certificate.authority, False)
        bell = Bell()
        listener = Listener(lambda: connect(where, lambda: server.password), bell, lambda: 0.0)
        thread = threading.Thread(target=listener.run)
        thread.start()
        bell.wait(1, 10)
        listener.stop()
        thread.join(3)
        assert not thread.is_alive()


def test_renewing_rings_too_and_keeps_the_connection() -> None:
    """What came between two IDLEs is found by the look that follows."""
    bell = Bell()
    with tricks() as server, listening(server.port, "me", "secret", bell, renew=0.1):
        bell.wait(3)
        assert len(server.connections) == 1


def test_chatter_is_no_sign_and_no_busy_loop() -> None:
    bell = Bell()
    with tricks(chatters) as server, listening(server.port, "me", "secret", bell):
        bell.wait(1)
        began = time.thread_time()
        time.sleep(0.4)
        assert len(bell.times) == 1
        assert time.thread_time() - began < 0.1


def test_losses_one_after_another_come_ever_more_seldom() -> None:
    bell = Bell()
    with tricks(*[closes] * 20) as server, listening(server.port, "me", "secret", bell):
        time.sleep(2.5)
        assert 2 <= len(server.connections) <= 4, "half a second, one, two: never a hammer"


def test_a_server_without_idle_is_left_to_the_timer() -> None:
    bell = Bell()
    with tricks(capability="IMAP4rev1") as server:
        with listening(server.port, "me", "secret", bell) as listener:
            time.sleep(0.3)
            assert listener.deaf
        assert bell.times == [] and len(server.connections) == 1


def test_a_refused_login_is_not_hammered() -> None:
    tries: list[float] = []

    def refused() -> Session:
        tries.append(time.monotonic())
        raise CredentialError("home: the server refused the login; nothing was looked at")

    listener = Listener(refused, Bell(), lambda: 0.0)
    thread = threading.Thread(target=listener.run)
    thread.start()
    time.sleep(0.3)
    listener.stop()
    thread.join(2)
    assert len(tries) == 1 and not thread.is_alive()
