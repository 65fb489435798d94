"""A first pass over a large mailbox: ours, imapfilter in two ways and a client on a bare socket, by turns on a Dovecot.

PYTHONPATH=. python tests/bench/first_pass.py [MESSAGES]     100,000 unless said otherwise

Each takes the 100 messages of its own list out; ours seals them on the disk, the others move them.
imapfilter's documented idiom searches once an entry, so 500 are told from 10 of them, by the entry.
Everybody's fields stand in the server's cache beforehand.
"""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nocontactd import shipped
from nocontactd.decide import policy, rule
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Disposition
from nocontactd.poll import poll
from nocontactd.reading import Reader
from nocontactd.sources.imap import Mailbox
from tests.archive_fixture import copy
from tests.peers import missing
from tests.peers.dovecot import Dovecot, dovecot

USER = "large"
PER_LIST = 100
"""Messages that each list matches."""
SENDERS = 5_000
_WHO = ["anna.novak", "jan.meyer", "priya.khan", "tom.olsen", "lucia.rossi", "office", "news", "service", "info"]


def listed(who: str, entries: int) -> list[str]:
    """A list of so many entries, of which twenty have written."""
    return [f"p{n}.{who}@abuser{n}.example" for n in range(entries)]


def letter(pick: random.Random, number: int, sender: str) -> bytes:
    """Every third is a multipart, every third comes with a return path of its own, as from a list."""
    host = sender.rpartition("@")[2]
    bounce = f"b+{pick.randbytes(8).hex()}" if number % 3 == 0 else "bounces"
    kind = 'multipart/alternative; boundary="=-x"' if number % 3 == 1 else "text/plain; charset=utf-8"
    text = "Hello.\r\n" if number % 3 != 1 else "--=-x\r\nContent-Type: text/plain\r\n\r\nHello.\r\n--=-x--\r\n"
    return (
        f"Return-Path: <{bounce}@{host}>\r\nDelivered-To: me@home.example\r\n"
        f"Received: from out.{host} (out.{host} [192.0.2.7])\r\n\tby mx.home.example with ESMTPS id {number:x}\r\n"
        f"\tfor <me@home.example>; Sun, 22 Nov 2026 05:00:01 +0000\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\n"
        f"From: {sender.partition('@')[0].title()} <{sender}>\r\nTo: me@home.example\r\n"
        f"Message-ID: <{pick.randbytes(12).hex()}@{host}>\r\nSubject: What we spoke about {number}\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{text}"
    ).encode()


def fill(server: Dovecot, messages: int, lists: Sequence[str], user: str = USER, per_list: int = PER_LIST) -> None:
    """Write a Maildir: ordinary people's messages, and among them those of each list."""
    home = server.folder / "home" / user
    pick = random.Random(7)
    people = [f"{pick.choice(_WHO)}{n}@host{n % 700}.example" for n in range(SENDERS)]
    theirs = [f"p{n % 20}.{who}@abuser{n % 20}.example" for who in lists for n in range(per_list)]
    places = dict(zip(pick.sample(range(messages), len(theirs)), theirs, strict=True))
    for name in ("cur", "new", "tmp"):
        (home / "Maildir" / name).mkdir(parents=True)
    for number in range(messages):
        octets = letter(pick, number, places.get(number) or pick.choice(people))
        (home / "Maildir" / "cur" / f"{1_700_000_000 + number}.M{number}.x,S={len(octets)}:2,S").write_bytes(octets)
    owner = server.folder.stat()
    for path in (home, *home.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


class Bare:
    """IMAP on a socket, and nothing else."""

    def __init__(self, server: Dovecot, user: str = USER) -> None:
        self._socket = socket.create_connection((server.host, server.port))
        self._left = b""
        self._number = 0
        self._socket.recv(4096)
        self.say(f"LOGIN {user} {server.password}".encode())

    def say(self, command: bytes) -> bytes:
        """Everything that is answered."""
        self._number += 1
        tag = b"x%d " % self._number  # no word of hexadecimal digits in a message
        self._socket.sendall(tag + command + b"\r\n")
        answer, tail = [], b"\n"
        while b"\n" + tag not in tail:
            answer.append(self._socket.recv(1 << 18))
            tail = (tail + answer[-1])[-4096:]
        return b"".join(answer)


def bare(server: Dovecot, entries: Sequence[str]) -> None:
    """Author fields of everything, a look-up, and one MOVE of what is found."""
    client = Bare(server)
    client.say(b"SELECT INBOX")
    wanted = {entry.encode() for entry in entries}
    said = client.say(b"UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM SENDER REPLY-TO RETURN-PATH)])")
    found = []
    for head in re.finditer(rb"UID (\d+) BODY\[[^\]]*\] \{(\d+)\}\r\n", said):
        fields = said[head.end() : head.end() + int(head[2])]
        if any(each.lower() in wanted for each in re.findall(rb"[\w.+-]+@[\w.-]+", fields)):
            found.append(head[1])
    assert len(found) == PER_LIST, len(found)
    client.say(b"UID MOVE " + b",".join(found) + b" Trash")


SCRIPT = """\
options.timeout = 300
options.info = false
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = '{password}' }}
found = {found}
found:move_messages(account['Trash'])
"""


def imapfilter(server: Dovecot, found: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        script = SCRIPT.format(port=server.port, user=USER, password=server.password, found=found)
        (Path(name) / "config.lua").write_text(script)
        command = ["imapfilter", "-c", f"{name}/config.lua"]
        done = subprocess.run(command, env={**os.environ, "HOME": name}, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def one_by_one(server: Dovecot, entries: Sequence[str]) -> None:
    imapfilter(server, " + ".join(f"account.INBOX:contain_from('{entry}')" for entry in entries))


def chain(server: Dovecot, entries: Sequence[str]) -> None:
    query = f'FROM "{entries[0]}"'
    for entry in entries[1:]:
        query = f'OR FROM "{entry}" {query}'
    imapfilter(server, f"account.INBOX:send_query('{query}')")


def ours(server: Dovecot, entries: Sequence[str]) -> None:
    """The daemon's own passes, with an archive on the disk, until there is nothing left to look through."""
    rules = policy(map(rule, entries), None, Disposition.PASS, 1000)
    with tempfile.TemporaryDirectory() as name:
        archive, ledger = copy(Path(name)).sealer(lambda: datetime.now(UTC)), SqliteLedger(Path(name) / "ledger")
        box = Mailbox(
            "large", host=server.host, port=server.port, user=USER, security="none", password=lambda: server.password,
            reader=Reader(catalogue=shipped.services()), never_touch=("Trash",),
        )  # fmt: skip
        began, matches = time.perf_counter(), 0
        while True:
            report = poll(box, archive, ledger, rules, lambda: datetime.now(UTC))
            assert not report.problems, report.problems
            matches += report.matches
            if not report.more:
                break
        TOOK.append(time.perf_counter() - began)
        assert matches in (0, PER_LIST), matches
        box.close()
        archive.close()
        ledger.disconnect()


TOOK: list[float] = []
"""Seconds of our passes, without making the archive."""


def timed(act: Callable[[Dovecot, Sequence[str]], None], server: Dovecot, entries: Sequence[str]) -> float:
    began = time.perf_counter()
    act(server, entries)
    return TOOK.pop() if TOOK else time.perf_counter() - began


def main(messages: int) -> None:
    if not shutil.which("imapfilter"):
        missing("imapfilter is not installed (Debian: imapfilter)")
    turns: list[tuple[str, Callable[[Dovecot, Sequence[str]], None], int]] = [
        ("bare", bare, 20), ("ours", ours, 20), ("chain", chain, 20), ("one by one", one_by_one, 20),
        ("bare ", bare, 500), ("ours ", ours, 500), ("chain ", chain, 500), ("one by one ", one_by_one, 10),
        ("bare  ", bare, 5000), ("ours  ", ours, 5000),
    ]  # fmt: skip
    with dovecot(password="plain") as server:
        lists = [f"l{number}" for number in range(len(turns))]
        fill(server, messages, lists)
        ours(server, listed("nobody", 20))  # fills the server's cache
        TOOK.clear()
        took = {}
        for who, (name, act, entries) in zip(lists, turns, strict=True):
            took[name] = timed(act, server, listed(who, entries))
            print(f"{name.strip():12}{entries:6} entries {took[name]:8.2f} s", file=sys.stderr, flush=True)
    took["one by one "] *= 50
    print(f"{messages} messages, seconds:   20 entries     500     5000")
    for name in ("ours", "bare", "chain", "one by one"):
        figures = [took.get(name + " " * more) for more in range(3)]
        note = "   (500: 50 times 10 entries)" if name == "one by one" else ""
        print(f"{name:24}" + "".join(f"{'' if each is None else format(each, '.2f'):>11}" for each in figures) + note)
    for title, value in (
        ("20 entries: imapfilter's idiom / ours, at least 3", took["one by one"] / took["ours"]),
        ("500 entries: imapfilter's idiom / ours, at least 40", took["one by one "] / took["ours "]),
        ("20 entries: ours / OR chain, at most 2.5", took["ours"] / took["chain"]),
        ("500 entries: OR chain / ours, at least 2", took["chain "] / took["ours "]),
        ("20 entries: ours / bare, at most 2.5", took["ours"] / took["bare"]),
        ("ours, 5,000 entries / 20, at most 1.2", took["ours  "] / took["ours"]),
    ):
        print(f"{title:55}{value:7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
