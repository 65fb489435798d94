"""A small IMAP server in a thread. What is not in its `capabilities` it really refuses, MOVE and UIDPLUS first of all.

Its mailbox is `boxes`, to be looked at and changed directly. `meddle` sees each command line and
the whole answer before it is sent, and gives the octets to send instead; raising `HangUpError` closes
the connection after what it gave. So every fault of a server is a few lines of a test.
"""

import base64
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

from imapclient.imap_utf7 import decode, encode

PLAIN = ("IMAP4rev1",)
GMAIL = ("IMAP4rev1", "UIDPLUS", "MOVE", "X-GM-EXT-1", "UNSELECT", "NAMESPACE")


REV2 = ("IMAP4rev2", "AUTH=PLAIN")
"""One that has no IMAP4rev1, and does not say what IMAP4rev2 holds."""


class HangUpError(Exception):
    """The server closes the connection here."""


@dataclass
class Mail:
    """One message of the server."""

    octets: bytes
    flags: set[str] = field(default_factory=set)
    date: str = "17-Jul-2026 02:44:25 -0700"


@dataclass
class Box:
    """One folder of the server."""

    uidvalidity: int
    attributes: str = ""
    uidnext: int = 1
    mails: dict[int, Mail] = field(default_factory=dict)
    read_only: bool = False

    def put(self, mail: Mail) -> int:
        """Deliver a message; its UID."""
        self.mails[self.uidnext] = mail
        self.uidnext += 1
        return self.uidnext - 1


class PlainImap:
    """The server; every login with its password is welcome."""

    user, password, host = "me", 'a "secret" \\', "127.0.0.1"

    def __init__(
        self,
        capabilities: Iterable[str] = PLAIN,
        *,
        greeting: str = "OK",
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
    ) -> None:
        """`implicit`: TLS from the first octet; else by STARTTLS, where that is among the capabilities."""
        self.capabilities = list(capabilities)
        self.greeting = greeting
        self.tls, self.implicit = tls, implicit
        self.boxes = {"INBOX": Box(7), "Sent": Box(8), "Drafts": Box(9), "Trash": Box(10, "\\Trash")}
        self.newest = 10
        self.commands: list[str] = []
        self.connections = 0
        self.gives_uidnext = True
        self.gives_pieces = True
        """It knows partial FETCH (RFC 9051, 6.4.5); else whoever asks for a piece is given the whole."""
        self.names_are_literals = False
        self.enables = ""
        """What it answers to ENABLE instead of doing it."""
        self.delimiter = '"/"'
        self.namespace = '(("" "/")) (("Others/" "/")) NIL'
        self.leaves_at = 0
        """At this command, counted over all connections, it says BYE and does nothing."""
        self.stuck_uidnext = 0
        """What it says instead of the truth, if not 0."""
        self.meddle: Callable[[str, bytes], Iterable[bytes]] = lambda _line, answer: [answer]
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._talks: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def rev2(self) -> bool:
        """It has IMAP4rev2 (RFC 9051) alone."""
        return "IMAP4rev1" not in self.capabilities

    def close(self) -> None:
        """Stop, and close what is open."""
        self.lock_the_door()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def bury(self) -> None:
        """Everybody connected has died: act on what they have sent, then forget them."""
        for connection, talk in zip(self._open, self._talks, strict=False):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # what has arrived can still be read
            talk.join(5)

    def lock_the_door(self) -> None:
        """Let nobody else in."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept
        self._listener.close()
        self._accepting.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            talk = threading.Thread(target=_Talk(self, connection).run, daemon=True)
            talk.start()
            self._talks.append(talk)


@contextmanager
def plain_imap(capabilities: Iterable[str] = PLAIN, **options: object) -> Iterator[PlainImap]:
    """Run one."""
    server = PlainImap(capabilities, **options)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()


class _Talk:
    """One connection."""

    def __init__(self, server: PlainImap, connection: socket.socket) -> None:
        self._server = server
        self._socket = connection
        self._file = connection.makefile("rb")
        self._box: Box | None = None
        self._writable = False
        self._utf8 = server.rev2

    def run(self) -> None:
        with suppress(OSError, HangUpError, ValueError):
            if self._server.implicit:
                self._encrypt()
            self._send("", f"* {self._server.greeting} ready\r\n".encode())
            while line := self._line():
                self._obey(line)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _line(self) -> str:
        line = self._file.readline()
        while literal := re.search(rb"\{(\d+)(\+?)\}\r\n\Z", line):
            if not literal[2]:
                self._socket.sendall(b"+ go on\r\n")
            octets = self._file.read(int(literal[1]))
            line = line[: literal.start()] + b'"' + base64.b64encode(octets) + b'"' + self._file.readline()
        return line.decode("latin-1").rstrip("\r\n") if line.endswith(b"\n") else ""  # half a command is none

    def _send(self, line: str, answer: bytes) -> None:
        for piece in self._server.meddle(line, answer):
            self._socket.sendall(piece)

    def _obey(self, line: str) -> None:
        tag, _, rest = line.partition(" ")
        self._server.commands.append(rest)
        if len(self._server.commands) == self._server.leaves_at:
            self._socket.sendall(b"* BYE going down\r\n")
            raise HangUpError
        word, _, arguments = rest.partition(" ")
        if word.upper() == "UID":
            word, _, arguments = arguments.partition(" ")
            word = f"UID_{word}"
        act = getattr(self, f"_{word.lower()}", None)
        needed = {
            "_uid_expunge": "UIDPLUS",
            "_uid_move": "MOVE",
            "_unselect": "UNSELECT",
            "_namespace": "NAMESPACE",
            "_starttls": "STARTTLS",
            "_enable": "ENABLE",
        }.get(f"_{word.lower()}")
        can = {*self._server.capabilities, *(["UIDPLUS", "MOVE", "UNSELECT", "NAMESPACE"] if self._server.rev2 else ())}
        if act is None or (needed and needed not in can):
            self._send(rest, f"{tag} BAD what is that\r\n".encode())
            return
        untagged, said = act(arguments)
        self._send(rest, untagged + f"{tag} {said}\r\n".encode())
        if word.upper() == "LOGOUT":
            raise HangUpError
        if word.upper() == "STARTTLS":
            self._encrypt()

    def _encrypt(self) -> None:
        if self._server.tls:
            self._socket = self._server.tls.wrap_socket(self._socket, server_side=True)
            self._file = self._socket.makefile("rb")

    def _capability(self, _: str) -> tuple[bytes, str]:
        return f"* CAPABILITY {' '.join(self._server.capabilities)}\r\n".encode(), "OK done"

    def _starttls(self, _: str) -> tuple[bytes, str]:
        return b"", "OK go"

    def _noop(self, _: str) -> tuple[bytes, str]:
        return b"", "OK done"

    def _logout(self, _: str) -> tuple[bytes, str]:
        return b"* BYE\r\n", "OK done"

    def _login(self, arguments: str) -> tuple[bytes, str]:
        user, password = (re.sub(r"\\(.)", r"\1", text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments))
        right = (user, password) == (self._server.user, self._server.password)
        return b"", "OK in" if right else "NO [AUTHENTICATIONFAILED] no"

    def _authenticate(self, mechanism: str) -> tuple[bytes, str]:
        self._socket.sendall(b"+ \r\n")
        said = base64.b64decode(self._file.readline()).decode()
        user, password = self._server.user, self._server.password
        if mechanism == "PLAIN":
            return b"", "OK in" if said == f"\0{user}\0{password}" else "NO [AUTHENTICATIONFAILED] no"
        where = f"host={self._server.host}\1port={self._server.port}\1"
        saslname = user.replace("=", "=3D").replace(",", "=2C")  # RFC 5801, 4
        first = {"XOAUTH2": f"user={user}\1", "OAUTHBEARER": f"n,a={saslname},\1{where}"}[mechanism]
        if said == f"{first}auth=Bearer {password}\1\1":
            return b"", "OK in"
        self._socket.sendall(b"+ " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
        return b"", f"NO [AUTHENTICATIONFAILED] {self._file.readline()!r}"

    def _enable(self, arguments: str) -> tuple[bytes, str]:
        if self._server.enables:
            return b"", self._server.enables
        asked = set(arguments.upper().split()) & set(self._server.capabilities)
        self._utf8 |= "UTF8=ACCEPT" in asked
        return f"* ENABLED {' '.join(asked)}\r\n".encode(), "OK done"

    def _namespace(self, _: str) -> tuple[bytes, str]:
        said = self._server.namespace.encode()
        return b"* NAMESPACE " + (decode(said).encode() if self._utf8 else said) + b"\r\n", "OK done"

    def _list(self, asked: str) -> tuple[bytes, str]:
        rows = b""
        for name, box in self._server.boxes.items():
            rows += f"* LIST ({box.attributes}) {self._server.delimiter} ".encode() + self._spelled(name) + b"\r\n"
        names = self._server.boxes if "STATUS" in asked and "LIST-STATUS" in self._server.capabilities else ()
        return rows + b"".join(self._standing(name) for name in names), "OK done"

    def _spelled(self, name: str) -> bytes:
        spelled = decode(name.encode()).encode() if self._utf8 else name.encode()
        return b"{%d}\r\n%b" % (len(spelled), spelled) if self._server.names_are_literals else _quoted(spelled)

    def _named(self, argument: str) -> str:
        """The folder that a client means, as it is spelled in `boxes`."""
        name = re.sub(r"\\(.)", r"\1", argument[1:-1] if argument.startswith('"') else argument)
        if self._utf8:
            name = encode(name.encode("latin-1").decode()).decode()
        return "INBOX" if name.upper() == "INBOX" else name

    def _status(self, arguments: str) -> tuple[bytes, str]:
        name = self._named(arguments[: arguments.index(" (")])
        if name not in self._server.boxes:
            return b"", "NO [NONEXISTENT] no such folder"
        return self._standing(name), "OK done"

    def _standing(self, name: str) -> bytes:
        box = self._server.boxes[name]
        uidnext = f" UIDNEXT {self._server.stuck_uidnext or box.uidnext}" if self._server.gives_uidnext else ""
        said = f" (UIDVALIDITY {box.uidvalidity}{uidnext} MESSAGES {len(box.mails)})\r\n"
        return b"* STATUS " + self._spelled(name) + said.encode()

    def _create(self, arguments: str) -> tuple[bytes, str]:
        self._server.newest += 1
        self._server.boxes[self._named(arguments)] = Box(self._server.newest)
        return b"", "OK done"

    def _delete(self, arguments: str) -> tuple[bytes, str]:
        del self._server.boxes[self._named(arguments)]
        return b"", "OK done"

    def _append(self, arguments: str) -> tuple[bytes, str]:
        name, flags, date, octets = re.fullmatch(r'(\S+)(?: \((.*?)\))?(?: "(.*?)")? "(.*?)"', arguments).groups()  # type: ignore[union-attr]
        mail = Mail(base64.b64decode(octets), set((flags or "").split()), date or Mail.date)
        self._server.boxes[self._named(name)].put(mail)
        return b"", "OK done"

    def _select(self, arguments: str, *, writable: bool = True) -> tuple[bytes, str]:
        self._box = self._server.boxes.get(self._named(arguments))
        if self._box is None:
            return b"", "NO [NONEXISTENT] no such folder"
        self._writable = writable and not self._box.read_only
        next_uid = self._server.stuck_uidnext or self._box.uidnext
        uidnext = f"* OK [UIDNEXT {next_uid}] next\r\n" if self._server.gives_uidnext else ""
        recent = "" if self._server.rev2 else "* 0 RECENT\r\n"
        lines = (
            f"* FLAGS (\\Deleted \\Seen)\r\n* {len(self._box.mails)} EXISTS\r\n{recent}"
            f"* OK [UIDVALIDITY {self._box.uidvalidity}] valid\r\n{uidnext}"
        )
        return lines.encode(), f"OK [READ-{'WRITE' if self._writable else 'ONLY'}] done"

    def _examine(self, arguments: str) -> tuple[bytes, str]:
        return self._select(arguments, writable=False)

    def _unselect(self, _: str) -> tuple[bytes, str]:
        self._box = None
        return b"", "OK done"

    def _close(self, _: str) -> tuple[bytes, str]:
        self._expunge("")
        self._box = None
        return b"", "OK done"

    def _uid_search(self, arguments: str) -> tuple[bytes, str]:
        mails = self._mails()
        if arguments.upper().startswith("UID "):
            found = self._wanted(arguments[4:])
        else:
            words = re.split(r" (?=UNDELETED)", arguments.removeprefix("KEYWORD "))
            flag = words[0] if arguments.startswith("KEYWORD ") else "\\Deleted"
            found = [uid for uid, mail in mails.items() if arguments.upper() == "ALL" or flag in mail.flags]
            found = [uid for uid in found if len(words) < 2 or "\\Deleted" not in mails[uid].flags]
        if self._server.rev2:  # its tag is not looked at by anybody
            return f'* ESEARCH (TAG "x") UID{" ALL " if found else ""}{_ranges(found)}\r\n'.encode(), "OK done"
        return f"* SEARCH{''.join(f' {uid}' for uid in found)}\r\n".encode(), "OK done"

    def _uid_fetch(self, arguments: str) -> tuple[bytes, str]:
        uids, _, items = arguments.partition(" ")
        answers = b""
        for uid in self._wanted(uids):
            said = b" ".join(self._item(uid, item) for item in re.findall(r"[\w.-]+(?:\[.*?\](?:<[\d.]+>)?)?", items))
            answers += b"* %d FETCH (%s)\r\n" % (list(self._mails()).index(uid) + 1, said)
        return answers, "OK done"

    def _item(self, uid: int, item: str) -> bytes:
        mail = self._mails()[uid]
        simple = {
            "UID": str(uid),
            "FLAGS": f"({' '.join(sorted(mail.flags))})",
            "RFC822.SIZE": str(len(mail.octets)),
            "INTERNALDATE": f'"{mail.date}"',
            "X-GM-MSGID": str(12_000_000 + len(mail.octets)),
        }
        if item.upper() in simple:
            return f"{item} {simple[item.upper()]}".encode()
        if item.upper() == "BODYSTRUCTURE":
            return b"BODYSTRUCTURE " + body_structure(mail.octets)
        peek, section, start, length = re.fullmatch(  # type: ignore[union-attr]
            r"(?i)BODY(\.PEEK)?\[(.*?)\](?:<(\d+)\.(\d+)>)?", item
        ).groups()
        if not peek:
            mail.flags.add("\\Seen")
        octets = _section(self._shown(mail.octets), section)
        start = start if self._server.gives_pieces else None
        origin = f"<{start}>" if start else ""
        if start:
            octets = octets[int(start) : int(start) + int(length)]
        # echoed in a spelling of its own, as servers do
        return f"body[{section.lower().replace('(', '( ')}]{origin} {{{len(octets)}}}\r\n".encode() + octets

    def _shown(self, octets: bytes) -> bytes:
        """To whoever did not enable UTF8=ACCEPT, a header in UTF-8 is shown with other addresses (RFC 6858)."""
        if "UTF8=ACCEPT" not in self._server.capabilities or self._utf8:
            return octets
        head, blank, text = octets.partition(b"\r\n\r\n")
        hidden = re.sub(rb"[^\s<>:]*[\x80-\xff][^\s<>]*", b"invalid@internationalized-address.invalid", head)
        return hidden + blank + text

    def _uid_store(self, arguments: str) -> tuple[bytes, str]:
        uids, how, flags = arguments.split(" ", 2)
        for uid in self._wanted(uids) if self._writable else []:  # in a folder opened for reading: OK, and nothing done
            change = set(flags.strip("()").split())
            mail = self._mails()[uid]
            mail.flags = mail.flags | change if how[0] == "+" else mail.flags - change
        return b"", "OK done"

    def _expunge(self, _: str) -> tuple[bytes, str]:
        return self._uid_expunge("1:*")

    def _uid_expunge(self, arguments: str) -> tuple[bytes, str]:
        if not self._writable:
            return b"", "NO read-only"
        said = b""
        for uid in self._wanted(arguments):
            if "\\Deleted" in self._mails()[uid].flags:
                said += b"* %d EXPUNGE\r\n" % (list(self._mails()).index(uid) + 1)
                del self._mails()[uid]
        return said, "OK done"

    def _uid_copy(self, arguments: str) -> tuple[bytes, str]:
        uids, _, name = arguments.partition(" ")
        for uid in self._wanted(uids):
            mail = self._mails()[uid]
            self._server.boxes[self._named(name)].put(Mail(mail.octets, set(mail.flags), mail.date))
        return b"", "OK done"

    def _uid_move(self, arguments: str) -> tuple[bytes, str]:
        uids, _, name = arguments.partition(" ")
        target = self._server.boxes[self._named(name)]
        moved = [(uid, target.put(self._mails().pop(uid))) for uid in self._wanted(uids)]
        old, new = (",".join(str(pair[side]) for pair in moved) for side in (0, 1))
        copied = f"* OK [COPYUID {target.uidvalidity} {old} {new}] moved\r\n".encode()
        return copied if moved and "UIDPLUS" in self._server.capabilities else b"", "OK done"

    def _mails(self) -> dict[int, Mail]:
        if self._box is None:
            raise HangUpError
        return self._box.mails

    def _wanted(self, spelled: str) -> list[int]:
        uids = sorted(self._mails())
        wanted: set[int] = set()
        for part in spelled.split(","):
            ends = sorted((uids[-1] if uids else 0) if end == "*" else int(end) for end in part.split(":"))
            wanted |= {uid for uid in uids if ends[0] <= uid <= ends[-1]}
        return sorted(wanted)


def _ranges(numbers: Iterable[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def _section(octets: bytes, section: str) -> bytes:
    if not section:
        return octets
    head, blank, _ = octets.partition(b"\r\n\r\n")
    head += blank
    if section.upper() == "HEADER":
        return head
    if section.upper().startswith("HEADER.FIELDS"):
        names = section[len("HEADER.FIELDS ") :].strip("()").upper().split()
        fields = re.findall(rb"^([!-9;-~]+):((?:[^\n]*\n)(?:[ \t][^\n]*\n)*)", head, re.MULTILINE)
        kept = (name + b":" + value for name, value in fields if name.decode().upper() in names)
        return b"".join(kept) + b"\r\n"
    part = message_from_bytes(octets)
    for number in section.split("."):
        if part.get_content_maintype() == "multipart":
            part = part.get_payload()[int(number) - 1]  # type: ignore[index,assignment]
        elif number != "1":
            raise ValueError(section)
    return str(part.get_payload()).encode("ascii", "surrogateescape")


def body_structure(octets: bytes) -> bytes:
    """BODYSTRUCTURE as RFC 9051 has it, by the standard library's reading of a message."""
    return _structure(message_from_bytes(octets))


def _structure(part: Message) -> bytes:
    if part.get_content_maintype() == "multipart":
        inner = b"".join(_structure(each) for each in part.get_payload())  # type: ignore[arg-type]
        return b"(%s %s %s NIL NIL)" % (inner, _string(part.get_content_subtype()), _parameters(part, "content-type"))
    size = len(str(part.get_payload()))
    words = [_string(part.get_content_maintype()), _string(part.get_content_subtype()), _parameters(part), b"NIL NIL"]
    words += [_string(part.get("content-transfer-encoding", "7bit")), b"%d" % size]
    if part.get_content_type() == "message/rfc822":
        words += [b"(" + b" ".join([b"NIL"] * 10) + b")", _structure(part.get_payload()[0]), b"1"]  # type: ignore[index,arg-type]
    elif part.get_content_maintype() == "text":
        words.append(b"1")
    disposition = part.get_content_disposition()
    shown = b"(%s %s)" % (_string(disposition), _parameters(part, "content-disposition")) if disposition else b"NIL"
    return b"(%s NIL %s NIL NIL)" % (b" ".join(words), shown)


def _parameters(part: Message, header: str = "content-type") -> bytes:
    pairs = [pair for pair in part.get_params(header=header, unquote=True) or [] if pair[1]]
    return b"(%s)" % b" ".join(_string(text) for pair in pairs for text in pair) if pairs else b"NIL"


def _quoted(name: bytes) -> bytes:
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", name) + b'"'


def _string(text: str) -> bytes:
    octets = text.encode("utf-8", "surrogateescape")
    if re.search(rb'["\\\r\n\x80-\xff]', octets):
        return b"{%d}\r\n" % len(octets) + octets
    return b'"' + octets + b'"'
