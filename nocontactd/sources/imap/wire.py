"""The octets of one connection. Whatever the server does, a command ends: in time, and in size.

imaplib's own timeouts hold for a single read; an endless stream of untagged lines, or one octet a
minute, outlives them. Here each command has a deadline and a limit of octets, and passing either
ends the connection.
"""

import hashlib
import imaplib
import io
import ipaddress
import re
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from imapclient.imap_utf7 import encode

LINE_OCTETS = 16 * 1024 * 1024
"""imaplib stops at a million, and the answer to UID SEARCH in a mailbox of 150,000 is one longer line."""
COMMAND_OCTETS = 32 * 1024 * 1024
"""Twice what 500 headers cut at 32 KiB come to. A literal announced larger is refused unread."""
PIECE = 65_536
"""Octets that are received in one go."""

_WITH_NAMES = frozenset({"LIST", "NAMESPACE", "STATUS"})
"""Answers that hold names, and beside them nothing that modified UTF-7 spells otherwise."""
_SIZE = re.compile(rb"\{\d+\}\Z")
MOST_FOUND = 10_000_000
"""A range in an answer to SEARCH is a few octets, whatever it spans."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 15
    read: float = 60
    """For the next octets."""
    command: float = 300
    """For the whole answer to one command, and as much again for the greeting."""
    farewell: float = 2
    """For the answer to LOGOUT, which nobody needs."""
    fresh: float = 30
    """Unused for longer, a connection is tried before it is trusted."""


class PlainTextError(Exception):
    """Plain text was asked for to a host that is not this machine."""


class _Octets(io.RawIOBase):
    """The receiving side of a wire, for Python's own buffered reader."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        self.again = b""
        """What was received and comes once more."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.again:
            return self._wire.receive(buffer)
        octets, self.again = self.again[: len(buffer)], self.again[len(buffer) :]
        buffer[: len(octets)] = octets
        return len(octets)


class Wire(imaplib.IMAP4):
    """imaplib's connection, with an end to everything. Its overridable methods, and STARTTLS."""

    def __init__(
        self, host: str, port: int, patience: Patience, context: ssl.SSLContext | None, *, local_only: bool
    ) -> None:
        self._patience = patience
        self._context = context
        self._local_only = local_only
        self.unfinished = b""
        self._begin(patience.command)
        super().__init__(host, port, patience.connect)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock = self._create_socket(timeout)
        self._receive_anew()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        with ExitStack() as undo:
            sock = socket.create_connection((self.host, self.port), timeout)
            undo.callback(sock.close)
            if self._local_only and not is_this_machine(sock.getpeername()[0]):
                raise PlainTextError
            _keep_alive(sock)
            wrapped = self._context.wrap_socket(sock, server_hostname=self.host) if self._context else sock
            undo.pop_all()
            return wrapped

    def starttls(self, ssl_context: Any = None) -> tuple[Any, list[Any]]:
        """What was received in plain text is forgotten: it may be an attacker's (CVE-2011-0411)."""
        typ, data = self._simple_command("STARTTLS")
        if typ != "OK":
            raise self.error("STARTTLS was refused")
        self.sock = ssl_context.wrap_socket(self.sock, server_hostname=self.host)
        self._receive_anew()
        self.untagged_responses.clear()
        self._get_capabilities()
        return typ, data

    def send(self, data: Any) -> None:
        self._begin(self._patience.command)
        self.sock.settimeout(self._patience.read)
        self.sock.sendall(data)

    def go_on(self) -> None:
        """What is still to be said has as long as a command; of several that were sent together, each has it."""
        self._begin(self._patience.command)

    def _get_capabilities(self) -> None:
        """imaplib speaks to nobody who has IMAP4rev2 alone; what of it differs is seen to here and in client.py."""
        super()._get_capabilities()  # type: ignore[misc]  # no method that typeshed shows
        if "IMAP4REV2" in self.capabilities:
            self.capabilities = (*self.capabilities, "IMAP4REV1")

    def _append_untagged(self, typ: str, dat: Any) -> None:
        """ESEARCH (RFC 9051, 7.3.4), as which IMAP4rev2 answers to SEARCH, is handed on as SEARCH, and names in UTF-8
        in modified UTF-7."""
        if typ == "ESEARCH":
            typ, dat = "SEARCH", _searched(dat or b"")
        if typ in _WITH_NAMES and self.utf8_enabled:
            dat = _in_utf7(dat)
        super()._append_untagged(typ, dat)  # type: ignore[misc]

    def hurry(self) -> None:
        """From now on wait as long as a farewell is worth."""
        self._patience = Patience(*[self._patience.farewell] * 4)

    def receive(self, buffer: Any) -> int:
        """What has come, into this buffer; TimeoutError at the deadline of the command."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer had no end")
        self.sock.settimeout(min(left, self._patience.read))
        received = self.sock.recv_into(buffer)
        self._allowance -= received
        if self._allowance < 0:
            raise self.abort("the answer was too long")
        return received

    def read(self, size: int) -> bytes:
        if size > self._allowance:
            raise self.abort("a literal of impossible size was announced")
        octets = self._reader.read(size)
        if len(octets) != size:
            raise self.abort("cut off in a literal")
        return octets

    def readline(self) -> bytes:
        line = self._reader.readline(LINE_OCTETS + 1)
        if len(line) > LINE_OCTETS:
            raise self.abort("a line had no end")
        return line

    def piece(self) -> bytes:
        """What has come, and of it all that Python's reader holds; it may begin and end anywhere."""
        octets = self._reader.read1(PIECE)
        if not octets:
            raise self.abort("the connection was closed")
        return octets

    def put_back(self, octets: bytes) -> None:
        """The end of the last `piece` is read once more; to be called before anything else is read."""
        self._octets.again = octets + self._octets.again

    def lines(self, seconds: float) -> list[bytes]:
        """Whole lines, without their ends, as soon as there are any; none when nothing comes in this time.

        A line may come in any number of pieces; `unfinished` holds what has no end yet.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._begin(left)
            try:
                octets = self._reader.read1(PIECE)
            except TimeoutError:
                continue
            if not octets:
                raise self.abort("the connection was closed")
            *whole, self.unfinished = (self.unfinished + octets).split(b"\n")
            if len(self.unfinished) > LINE_OCTETS:
                raise self.abort("a line had no end")
            if whole:
                return [line.rstrip(b"\r") for line in whole]
        return []

    def cut(self) -> None:
        """End the connection, from any thread: whoever waits for it wakes up, and is the one to close it.

        Were it closed here, its number could belong to another connection by the time he reads on: OpenSSL keeps it.
        """
        with suppress(OSError):  # closed by the other side already
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # an SSLSocket's own also forgets its encryption

    def shutdown(self) -> None:
        """Close the connection, without a word and without an error."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # closed by the other side already
            pass
        finally:
            self.sock.close()

    def _receive_anew(self) -> None:
        self._octets = _Octets(self)
        self._reader = io.BufferedReader(self._octets, PIECE)

    def _begin(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._allowance = COMMAND_OCTETS


def is_this_machine(address: str) -> bool:
    """Whether an IP address is loopback."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _searched(esearch: bytes) -> bytes:
    """The numbers of an ESEARCH one by one, as SEARCH has them; ValueError: more than any mailbox holds."""
    found = re.search(rb"(?i)(?:^|[ )])ALL ([0-9:,]+)", esearch)
    spans = [sorted(map(int, part.split(b":"))) for part in found[1].split(b",")] if found else []
    if sum(span[-1] - span[0] + 1 for span in spans) > MOST_FOUND:
        raise ValueError("an answer to SEARCH of impossible size")
    return b" ".join(b"%d" % number for span in spans for number in range(span[0], span[-1] + 1))


def _in_utf7(said: Any) -> Any:
    """A line, or the beginning of one and the literal in it. What is not even UTF-8 stays, and is never asked for."""
    try:
        if isinstance(said, bytes):
            return encode(said.decode("utf-8"))
        literal = encode(said[1].decode("utf-8"))
        return _SIZE.sub(b"{%d}" % len(literal), encode(said[0].decode("utf-8"))), literal
    except UnicodeDecodeError:
        return said


def fingerprint(sock: socket.socket) -> str:
    """SHA-256 of the server's certificate in hexadecimal; "" without TLS."""
    certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _keep_alive(sock: socket.socket) -> None:
    """Notice a peer that vanished; send at once (imapclient ends a command in a write of its own)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Darwin names the first one otherwise
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
