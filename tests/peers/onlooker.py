"""Another mail client on the same mailbox, made of the standard library alone: it delivers, marks, removes and looks.

What it sees before and after is how a test knows that nobody else's message was touched.
"""

import imaplib
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

imaplib._MAXLINE = 10_000_000  # type: ignore[attr-defined]


class MailServer(Protocol):
    """A peer of tests/peers."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


@dataclass(frozen=True)
class Sight:
    """One message as any client sees it."""

    flags: frozenset[str]
    octets: bytes
    date: str
    size: int


Sights = dict[tuple[str, int, int], Sight]
"""By folder, UIDVALIDITY and UID."""


class Onlooker:
    """A client with a connection of its own."""

    def __init__(self, server: MailServer, user: str | None = None) -> None:
        self._imap = imaplib.IMAP4(server.host, server.port)
        self._imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        who = user or server.user
        if "AUTH=PLAIN" in self._imap.capabilities:
            self._imap.authenticate("PLAIN", lambda _: f"\0{who}\0{server.password}".encode())
        else:
            self._imap.login(f'"{who}"', server.password)

    def put(self, octets: bytes, folder: str = "INBOX", flags: str = "", date: str | None = None) -> int:
        """Deliver; the UID."""
        self.append(octets, folder, flags, date)
        self._do(self._imap.select(_quoted(folder), readonly=True))
        return int(self._do(self._imap.uid("SEARCH", "ALL"))[0].split()[-1])

    def append(self, octets: bytes, folder: str = "INBOX", flags: str = "", date: str | None = None) -> None:
        """Deliver, and ask nothing."""
        when = f'"{date}"' if date else None
        self._do(self._imap.append(_quoted(folder), flags or None, when, octets))  # type: ignore[arg-type]

    def put_exactly(self, octets: bytes) -> int:
        """Deliver to the inbox these octets and no others, where imaplib mends the ends of lines; the UID."""
        self._imap.literal = octets  # type: ignore[attr-defined]
        (said,) = self._do(self._imap._simple_command("APPEND", "INBOX"))  # type: ignore[attr-defined]
        (uid,) = re.findall(rb"APPENDUID \d+ (\d+)", said)
        return int(uid)

    def create(self, folder: str) -> None:
        """Make a folder."""
        self._do(self._imap.create(_quoted(folder)))

    def renew(self, folder: str) -> None:
        """Delete a folder and make it again, with what was in it: all UIDs, and UIDVALIDITY, are new."""
        kept = [sight for (name, _, _), sight in self.everything().items() if name == folder]
        self._imap.select('"INBOX"', readonly=True)
        self._do(self._imap.delete(_quoted(folder)))
        self.create(folder)
        for sight in kept:
            self.put(sight.octets, folder, " ".join(sight.flags), sight.date)

    def mark(self, uid: int, folder: str = "INBOX", flag: str = "\\Deleted") -> None:
        """Set a flag."""
        self._do(self._imap.select(_quoted(folder)))
        self._do(self._imap.uid("STORE", str(uid), "+FLAGS", f"({flag})"))

    def vanish(self, uid: int, folder: str = "INBOX") -> None:
        """Remove a message, and nothing else that is marked."""
        self._do(self._imap.select(_quoted(folder)))
        others = self._do(self._imap.uid("SEARCH", "DELETED"))[0].decode().replace(" ", ",")
        if others:
            self._do(self._imap.uid("STORE", others, "-FLAGS", "(\\Deleted)"))
        self.mark(uid, folder)
        self._do(self._imap.expunge())
        if others:
            self._do(self._imap.uid("STORE", others, "+FLAGS", "(\\Deleted)"))

    def everything(self) -> Sights:
        """The whole mailbox."""
        sights: Sights = {}
        for row in self._do(self._imap.list()):
            match = re.fullmatch(rb'\((.*?)\) (?:"."|NIL) (?:"(.*)"|(.*))', row)
            assert match
            if b"\\Noselect" in match[1]:
                continue
            folder = (match[2] or match[3]).decode()
            self._do(self._imap.select(_quoted(folder), readonly=True))
            uidvalidity = int(self._imap.untagged_responses["UIDVALIDITY"][0])
            for uid, sight in self._sights():
                sights[folder, uidvalidity, uid] = sight
        return sights

    def close(self) -> None:
        """Leave."""
        self._imap.shutdown()

    def _sights(self) -> Iterator[tuple[int, Sight]]:
        answers = self._do(self._imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
        whole: list[bytes] = []
        octets = b""
        for answer in answers:
            if isinstance(answer, tuple):
                whole.append(answer[0])
                octets = answer[1]
            elif answer:
                yield _sight(b" ".join([*whole, answer]), octets)
                whole = []

    def _do(self, answer: tuple[str, list]) -> list:  # type: ignore[type-arg]
        kind, data = answer
        assert kind == "OK", data
        return data


@contextmanager
def looking(server: MailServer, user: str | None = None) -> Iterator[Onlooker]:
    """Look for a moment."""
    onlooker = Onlooker(server, user)
    try:
        yield onlooker
    finally:
        onlooker.close()


def _sight(said: bytes, octets: bytes) -> tuple[int, Sight]:
    text = said.decode("latin-1")

    def found(pattern: str) -> str:
        match = re.search(pattern, text)
        assert match, text
        return match[1]

    flags = frozenset(found(r"FLAGS \((.*?)\)").split()) - {"\\Recent"}
    return int(found(r"UID (\d+)")), Sight(flags, octets, found(r'INTERNALDATE "(.*?)"'), int(found(r"SIZE (\d+)")))


def _quoted(folder: str) -> str:
    return f'"{folder}"'
