"""What becomes of signs: deliveries just before an IDLE and soon after, a peer that closed or fell silent; the cost.

PYTHONPATH=. python tests/bench/signs.py

Counted is what a mailbox holds and nobody has looked at within two seconds, with no timer to help.
"""

import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nocontactd.reading import Reader
from nocontactd.sources.imap import idle
from nocontactd.sources.imap.arrival import bring
from nocontactd.sources.imap.idle import Listener
from nocontactd.sources.imap.login import Server, connect
from nocontactd.sources.imap.session import Selected, Session
from tests.peers.authority import certify
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_imap_idle import Bell, Looker, closes, deaf, deliver, tricks

PAIRS = 200


class Listening:
    """A listener in a thread, which rings whoever looks; `before` is called just before each IDLE is asked for."""

    def __init__(self, where: Server, password: str, looker: Callable[[], None], before: Callable[[], None]) -> None:
        self._before = before
        connected = lambda: self._noticed(connect(where, lambda: password))  # noqa: E731
        self.listener = Listener(connected, looker, random.random, 0.3, 2, bring=brought, put=lambda _: None)
        threading.Thread(target=self.listener.run, daemon=True).start()

    def _noticed(self, session: Session) -> Session:
        begin: Any = session.idle

        def noticed(answer: float) -> Any:
            self._before()
            return begin(answer)

        session.idle = noticed  # type: ignore[method-assign]
        return session


def where(server: Dovecot, user: str, ca_file: Path | None) -> Server:
    if ca_file is None:
        return Server("home", server.host, server.port, user, "none", None, False)
    return Server("home", "localhost", server.tls_port, user, "tls", ca_file, False)


def brought(session: Session, where: Selected, uids: Sequence[int]) -> Any:
    """What the daemon asks for with a sign."""
    return bring(session, "home", where, uids, Reader(), lambda _envelope: True)


def just_before(server: Dovecot, ca_file: Path | None, deliveries: int) -> int:
    """How many of the messages are missed that come between the end of one IDLE and the beginning of the next."""
    user = f"just-before-{bool(ca_file)}"
    looker, missed = Looker(server, user), 0
    delivered = 0

    def before() -> None:
        nonlocal delivered
        if delivered < deliveries and looker.seen == delivered:
            delivered += 1
            deliver(server, user)

    listening = Listening(where(server, user, ca_file), server.password, looker, before)
    for number in range(1, deliveries + 1):
        until = time.monotonic() + 5
        while looker.seen < number and time.monotonic() < until:
            time.sleep(0.005)
        missed += looker.seen < number
    listening.listener.stop()
    return missed


def pairs(server: Dovecot, user: str, count: int) -> int:
    """How many pairs, 0 to 900 ms apart, are not seen whole."""
    looker, missed = Looker(server, user), 0
    here = where(server, user, None)
    connected = lambda: connect(here, lambda: server.password)  # noqa: E731
    listener = Listener(connected, looker, random.random, bring=brought, put=lambda _: None)
    threading.Thread(target=listener.run, daemon=True).start()
    looker.wait(1)
    for number in range(1, count + 1):
        deliver(server, user)
        time.sleep(random.random() * 0.9)
        deliver(server, user)
        until = time.monotonic() + 2
        while looker.seen < 2 * number and time.monotonic() < until:
            time.sleep(0.005)
        missed += looker.seen < 2 * number
    listener.stop()
    return missed


@contextmanager
def at_tricks(trick: Callable[[socket.socket, Any], None], **limits: float) -> Iterator[Any]:
    with tricks(trick) as server:
        here = Server("home", "127.0.0.1", server.port, "me", "none", None, False)
        listener = Listener(lambda: connect(here, lambda: "secret"), Bell(), random.random, **limits)
        threading.Thread(target=listener.run, daemon=True).start()
        yield server
        listener.stop()


def noticed(trick: Callable[[socket.socket, Any], None], **limits: float) -> float:
    """Seconds from one connection to the next."""
    with at_tricks(trick, **limits) as server:
        while len(server.connections) < 2:
            time.sleep(0.005)
        return float(server.connections[1] - server.connections[0])


def cost(server: Dovecot, seconds: float) -> float:
    """Processor time of one waiting listener, as a share of one processor."""
    here = where(server, "waiting", None)
    deliver(server, "waiting")
    bell = Bell()
    listener = Listener(lambda: connect(here, lambda: server.password), bell, random.random)
    threading.Thread(target=listener.run, daemon=True).start()
    bell.wait(1)
    began = time.process_time()
    time.sleep(seconds)
    used = time.process_time() - began
    listener.stop()
    return used / seconds


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        certificate = certify(Path(name))
        with dovecot(certificate=(certificate.chain, certificate.key)) as server:
            print(f"just before IDLE, plain: {just_before(server, None, 40)} of 40 missed")
            print(f"just before IDLE, TLS:   {just_before(server, certificate.authority, 40)} of 40 missed")
            users = [f"pairs{number}" for number in range(4)]
            with ThreadPoolExecutor(len(users)) as at_once:
                missed = sum(at_once.map(lambda user: pairs(server, user, PAIRS // len(users)), users))
            print(f"pairs 0 to 900 ms apart: {missed} of {PAIRS} missed")
            print(f"waiting in IDLE:         {100 * cost(server, 10):.2f} % of a processor")
    print(f"peer closed:             connected anew after {noticed(closes):.2f} s (0.5 to 1 s of them rest)")
    scale = 100
    silent = noticed(deaf, renew=idle.RENEW / scale, answer=idle.ANSWER / scale)
    limits = f"{idle.RENEW:.0f} + {idle.ANSWER:.0f} s"
    print(f"peer silent:             connected anew after {silent:.2f} s at a {scale}th of the limits, {limits}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
