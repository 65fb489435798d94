"""From delivery to gone: the daemon in IDLE against imapfilter's own idle loop, on one Dovecot, by turns.

Each delivery is from one of those listed, drawn from a shuffle of them, the same one for both: imapfilter
searches for one after another in the order of its list, and so finds the first of them soonest. Nothing is
delivered to a program before it lies in IDLE again. In `lone` the daemon has gone back to long IDLEs by
the next delivery; in the others it mostly has not, as they come one after another.

PYTHONPATH=. python tests/bench/arrival.py [idle|lone|poll|crowd|alike [DELIVERIES]]
"""

import imaplib
import multiprocessing
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import Any

from nocontactd.sources.imap.idle import AWAKE
from tests.installation import Installation
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot

LOOP = """\
options.timeout = 60
options.info = false
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = [[{password}]] }}
while true do
{searches}
  account.INBOX:enter_idle()
end
"""
OTHER = b"From: nadia@friends.example\r\nSubject: tea\r\nMessage-ID: <%d@friends.example>\r\n\r\nHello.\r\n"
Taken = tuple[float, float, float | None]
"""When it was delivered, when it had gone, and when the program was told."""
PATIENCE = 45.0
"""Seconds after which a message counts as missed."""
LISTED = b"From: %b\r\nSubject: x\r\nMessage-ID: <%d@abuser.example>\r\n\r\nHello.\r\n"
FILLED = 1_700_000_000
"""What the names of the files begin with that were there before: seconds since 1970."""


def entries(count: int) -> list[str]:
    return ["ex@abuser.example", *(f"other{number}@abuser.example" for number in range(1, count))]


def senders(count: int, deliveries: int) -> list[str]:
    """Whom each delivery is from: each of the entries once in so many, in an order that is drawn anew each time."""
    chance, drawn = random.Random(count), list[str]()
    while len(drawn) < deliveries:
        drawn += chance.sample(entries(count), count)
    return drawn[:deliveries]


@contextmanager
def imapfilter(folder: Path, server: Dovecot, user: str, count: int) -> Iterator[None]:
    if not shutil.which("imapfilter"):
        missing("imapfilter is not installed (Debian: imapfilter)")
    searches = "\n".join(f"  account.INBOX:contain_from('{entry}'):delete_messages()" for entry in entries(count))
    facts = {"port": server.port, "user": user, "password": server.password, "searches": searches}
    (folder / "config.lua").write_text(LOOP.format(**facts))
    process = subprocess.Popen(
        ["imapfilter", "-c", str(folder / "config.lua")],
        env={**os.environ, "HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def daemon(owner: Installation) -> Iterator[None]:
    process = owner.daemon(owner.folder / "log")
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def fill(inbox: Path, messages: int, *, alike: bool = False) -> None:
    """Messages of somebody else, as files: a thousand names of each. Named as Dovecot itself names them.

    `alike`: by names that all end alike. They bring Dovecot's table of names to a crawl, whoever opens the inbox.
    """
    account, chance = inbox.stat(), random.Random(messages)
    for at in range(0, messages, 1000):
        octets = (OTHER % at).replace(b"\r\n", b"\n") + b"x" * chance.randrange(20_000)
        lines = octets.count(b"\n")
        sizes = f",S={len(octets)},W={len(octets) + lines}"
        first = None
        for number in range(at, min(at + 1000, messages)):
            unique = f"M{number}P1" if alike else f"M{chance.randrange(1_000_000)}P{chance.randrange(32_768)}"
            name = f"{FILLED + number}.{unique}.other{'' if alike else sizes}:2,S"
            place = inbox / "cur" / name
            if first:
                os.link(first, place)
                continue
            first = place
            place.write_bytes(octets)
            os.chown(place, account.st_uid, account.st_gid)


EXISTS, IDLING, DONE = b"EXISTS", b"+ idling", b"DONE"
"""The server tells that something came; that the program lies in IDLE; the program, that it no longer does."""


class Overheard:
    """A way to the server, in a process of its own, that notes what is told, and when."""

    def __init__(self, server: Dovecot) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._told: multiprocessing.Queue[tuple[bytes, float]] = multiprocessing.Queue()
        self._times: dict[bytes, list[float]] = defaultdict(list)
        args = (self._listener, (server.host, server.port), self._told)
        self._process = multiprocessing.Process(target=_overhear, args=args, daemon=True)
        self._process.start()
        self.server = replace(server, port=self._listener.getsockname()[1])

    def since(self, began: float) -> float | None:
        """The first moment after this at which something was told to have come."""
        self._hear()
        return next((moment for moment in self._times[EXISTS] if moment > began), None)

    def until_idle(self) -> None:
        """Wait until it lies in IDLE, but not for ever."""
        until = time.perf_counter() + 2 * PATIENCE
        while max(self._times[IDLING], default=0) <= max(self._times[DONE], default=0) and time.perf_counter() < until:
            self._hear()

    def _hear(self) -> None:
        """What was told up to now, and a tenth of a second more."""
        with suppress(Empty):
            while True:
                what, moment = self._told.get(timeout=0.1)
                self._times[what].append(moment)

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _overhear(
    listener: socket.socket, target: tuple[str, int], told: "multiprocessing.Queue[tuple[bytes, float]]"
) -> None:
    def pass_on(source: socket.socket, sink: socket.socket, *, from_server: bool) -> None:
        with suppress(OSError):
            while octets := source.recv(65_536):
                # Who sends a command in two pieces waits for word of the first: at once, as the server itself gives it.
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                for what in (EXISTS, IDLING) if from_server else (DONE,):
                    if what in octets:
                        told.put((what, time.perf_counter()))
                sink.sendall(octets)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    while True:
        client, _ = listener.accept()
        server = socket.create_connection(target)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends, from_server in (((client, server), False), ((server, client), True)):
            threading.Thread(target=pass_on, args=ends, kwargs={"from_server": from_server}, daemon=True).start()


def places(inbox: Path) -> list[Path]:
    """Wherever the message that has just come may stand in the Maildir, whatever is done to it but removed."""
    there = (place.name.partition(":")[0] for part in ("new", "cur") for place in (inbox / part).iterdir())
    name = next((name for name in there if int(name.partition(".")[0]) > FILLED + 1_000_000), None)
    if name is None:  # gone already
        return []
    return [inbox / "new" / name, *(inbox / "cur" / f"{name}:2,{flags}" for flags in ("", "S", "T", "ST"))]


def until_gone(client: imaplib.IMAP4, inbox: Path, message: bytes) -> tuple[float, float] | None:
    """When it was delivered, and when it had gone; None: it was missed."""
    client.append("INBOX", "", None, message)
    began = time.perf_counter()
    there = places(inbox)
    while any(place.exists() for place in there) or any(place.exists() for place in there):  # it may be renamed between
        if time.perf_counter() - began > PATIENCE:
            for place in there:
                place.unlink(missing_ok=True)
            return None
        time.sleep(0.0005)
    return began, time.perf_counter()


def logged_in(server: Dovecot, user: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4(server.host, server.port)
    client.authenticate("PLAIN", lambda _: f"\0{user}\0{server.password}".encode())
    client.select("INBOX")
    client.close()
    return client


def measured(
    deliveries: int,
    *,
    every: str = "60s",
    messages: int = 0,
    count: int = 1,
    theirs: bool = True,
    alike: bool = False,
    apart: float = 0,
) -> None:
    """Deliver to both by turns; with so many messages of others in each inbox, and so many entries in each list.

    `apart`: seconds from one turn to the next.
    """
    with tempfile.TemporaryDirectory() as name, dovecot(password="plain") as server:
        folder = Path(name)
        ways = {who: Overheard(server) for who in ("nocontactd", "imapfilter")}
        owner = Installation(folder / "owner", ways["nocontactd"].server).with_keys()
        written = re.sub(r"every: \S+", f"every: {every}", owner.config.read_text())
        owner.put("config.yaml", written.replace("[ex@abuser.example]", f"[{', '.join(entries(count))}]"))
        users = {"nocontactd": owner.user} | ({"imapfilter": "other"} if theirs else {})
        clients = {who: logged_in(server, user) for who, user in users.items()}
        inboxes = {who: server.folder / "home" / user / "Maildir" for who, user in users.items()}
        for who, client in clients.items():
            fill(inboxes[who], messages, alike=alike)
            client.select("INBOX", readonly=True)  # so that the server's index is there
            client.search(None, "FROM", "ex@abuser.example")
            client.close()
        taken: dict[str, list[Taken]] = {who: [] for who in users}
        with imapfilter(folder, ways["imapfilter"].server, "other", count) if theirs else nullcontext(), daemon(owner):
            while "started" not in (owner.folder / "log").read_text():
                time.sleep(0.05)
            while owner.nocontact("poll").returncode == 75:  # the first look has not finished
                time.sleep(1)
            for who in users:
                ways[who].until_idle()
            time.sleep(3 + messages / 10_000)
            for number, sender in enumerate(senders(count, deliveries)):
                for who, client in clients.items():
                    if moments := until_gone(client, inboxes[who], LISTED % (sender.encode(), number)):
                        taken[who].append((*moments, ways[who].since(moments[0])))
                    ways[who].until_idle()
                    time.sleep(messages / 100_000)  # until those who listen have read the folder
                time.sleep(apart + random.random() * 0.2)
        for way in ways.values():
            way.end()
    show(deliveries, taken)


def show(deliveries: int, taken: dict[str, list[Taken]]) -> None:
    """From its delivery, and from when the server told the program of it; 0 where it was gone before that."""
    missed = ", ".join(f"{who} missed {deliveries - len(moments)}" for who, moments in taken.items())
    print(
        f"{'':12}{'delivery to gone: ms':>22}{'p99':>8}{'EXISTS to gone: ms':>22}{'p99':>8}   of {deliveries}, {missed}"
    )
    found = {}
    for who, moments in taken.items():
        delivered = [gone - began for began, gone, _ in moments]
        told = [gone - told if told else 0.0 for _, gone, told in moments]
        found[who] = (*_middle_and_high(delivered), *_middle_and_high(told))
        print(
            f"{who:12}"
            + "".join(f"{1000 * one:{width}.1f}" for one, width in zip(found[who], (22, 8) * 2, strict=True))
        )
    if "imapfilter" in found:
        ratios = (ours / theirs for ours, theirs in zip(found["nocontactd"], found["imapfilter"], strict=True))
        print(
            f"{'ratio':12}" + "".join(f"{ratio:{width}.2f}" for ratio, width in zip(ratios, (22, 8) * 2, strict=True))
        )


def _middle_and_high(times: Sequence[float]) -> tuple[float, float]:
    if len(times) < 2:
        return (*times, *times) if times else (PATIENCE, PATIENCE)
    return statistics.median(times), min(max(times), statistics.quantiles(times, n=100)[-1])  # of few it guesses beyond


CROWD: dict[str, Any] = {"messages": 100_000, "count": 20}
RUNS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "idle": ("a small inbox, one entry, IDLE", 200, {}),
    "lone": ("the same, each long after the one before", 20, {"apart": AWAKE * 1.2}),
    "poll": ("every: 0.1s", 100, {"every": "0.1s", "theirs": False}),
    "crowd": ("100,000 messages in the inbox, 20 entries, IDLE", 8, CROWD),
    "alike": ("the same, by file names that all end alike", 3, CROWD | {"alike": True}),
}


def main(which: str = "", deliveries: str = "") -> None:
    for name, (what, usual, how) in RUNS.items():
        if which in ("", name):
            print(what)
            measured(int(deliveries or usual), **how)


if __name__ == "__main__":
    main(*sys.argv[1:])
