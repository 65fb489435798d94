"""One logged-in connection. Whatever goes wrong on it ends it, unless the server simply said no.

The one place where the errors of imapclient and imaplib end, once logged in: they quote what was
sent and received, so none of them is ever passed on or chained.
"""

import hashlib
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientError, IMAPClientReadOnlyError
from imapclient.imap_utf7 import decode, encode

from nocontactd.errors import SourceError
from nocontactd.sources.imap.fetch_answers import Answer, read_answers
from nocontactd.sources.imap.folders import Folder
from nocontactd.sources.imap.replies import fetched

CHUNK = 500
"""UIDs in one command: 5,500 octets at most, and servers take lines of 8,000 (RFC 7162, 4)."""

AHEAD = 2
"""Commands whose answers are on their way at a time; together they fit into what one may come to (wire.py)."""


class LostError(SourceError):
    """The connection ended in the middle of something."""


class RefusedError(SourceError):
    """The server said no, and the connection is as good as before."""


UIDS_END = 2**63 - 1
"""RFC 9051 gives UIDs and UIDVALIDITY 32 bits; some servers use more, but no ledger holds more than these."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What the server said of a folder when it was opened."""

    folder: str
    uidvalidity: int
    uidnext: int | None
    exists: int
    writable: bool


class Session:
    """A login on a mailbox. LostError ends it: `alive` is false then. RefusedError does not."""

    def __init__(self, client: Any, fresh: float) -> None:
        self._client = client
        self._fresh = fresh
        self._used = time.monotonic()
        self._spelled: dict[str, bytes] = {}
        self.alive = True
        self.selected: Selected | None = None
        self.greeting: str = client.welcome.decode("utf-8", "backslashreplace")
        self.certificate = _fingerprint(client.socket())
        with self._asking():
            self.capabilities = frozenset(word.decode("ascii") for word in client.capabilities())

    def try_it(self) -> None:
        """Ask whether the other end is still there, if nothing was asked of it lately."""
        if time.monotonic() - self._used > self._fresh:
            with suppress(SourceError), self._asking():
                _check(*self._client._imap.noop())

    def folders(self) -> tuple[Folder, ...]:
        """All folders that the server lists, with their SPECIAL-USE (RFC 6154) where it has that."""
        extended = {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities  # Cyrus tells it only when asked
        arguments = [b'""', b'"*"', *([b"RETURN (SPECIAL-USE)"] if extended else [])]
        with self._asking():
            data = self._client._raw_command_untagged(b"LIST", arguments, uid=False)
            found = [_folder(*row) for row in self._client._proc_folder_list(data)]
        self._spelled = {folder.name: spelled for folder, spelled in found}
        return tuple(folder for folder, _ in found)

    def foreign(self) -> tuple[str, ...]:
        """The prefixes of other users' and shared folders (RFC 2342)."""
        if "NAMESPACE" not in self.capabilities:
            return ()
        with self._asking():
            namespace = self._client.namespace()
            spaces = [*(namespace.other or ()), *(namespace.shared or ())]
            return tuple(decode(prefix) for prefix, _ in spaces if prefix)

    def examine(self, folder: str) -> Selected:
        """Open a folder for reading and hear how it stands now: nothing that is read there is marked."""
        return self._open(folder, writable=False)

    def reading(self, folder: str) -> Selected:
        """Have a folder open for reading; asked anew only if another one is open."""
        selected = self.selected
        return selected if selected and selected.folder == folder and not selected.writable else self.examine(folder)

    def stay(self, folder: str, uidvalidity: int) -> None:
        """Be still in the folder that was being read, whatever was asked of this session in between."""
        if self.reading(folder).uidvalidity != uidvalidity:
            raise RefusedError("its folder was replaced meanwhile")

    def select(self, folder: str) -> Selected:
        """Open a folder for removing. RefusedError: it is missing; LostError: it can only be read."""
        return self._open(folder, writable=True)

    def leave(self) -> None:
        """Have no folder open for removing. Never by CLOSE: that expunges what others have marked."""
        if not (self.selected and self.selected.writable):
            return
        if "UNSELECT" not in self.capabilities:
            self.examine(self.selected.folder)
            return
        self.selected = None
        with self._asking():
            self._client.unselect_folder()

    def search(self, *criteria: str) -> list[int]:
        """UIDs, ascending. Never by anything that a sender wrote."""
        with self._asking():
            kind, data = self._client._imap.uid("SEARCH", *criteria)
            _check(kind, data)
            uids = sorted(int(uid) for line in data if line for uid in line.split())
            if uids and uids[-1] >= 2**32:
                raise ValueError("a UID that is none")
            return uids

    def standing(self, uids: Iterable[int]) -> frozenset[int]:
        """Which of these are in the open folder."""
        wanted = sorted(uids)
        return frozenset(uid for part in chunks(wanted) for uid in self.search("UID", _set(part))) & set(wanted)

    def fetch(self, uids: Sequence[int], items: str, *, lenient: bool = False) -> list[Answer]:
        """What the server says of at most CHUNK messages, besides what it says unasked.

        `lenient`: an answer that cannot be read is left out, and is no LostError.
        """
        with self._asking():
            imap = self._client._imap
            imap.untagged_responses.pop("FETCH", None)
            kind, data = imap.uid("FETCH", _set(uids), items)
            if kind == "NO":  # Dovecot, when one of them has gone meanwhile: the others were answered
                if b"[EXPUNGEISSUED]" not in data[0].upper():
                    _check(kind, data)
                data = imap.untagged_responses.pop("FETCH", [])
            wanted = set(uids)
            return [answer for answer in read_answers(data, lenient=lenient) if answer.uid in wanted]

    def fetch_each(
        self,
        parts: Iterable[Sequence[int]],
        items: str,
        *,
        ahead: int = AHEAD,
        lenient: bool = False,
        holding: re.Pattern[bytes] | None = None,
    ) -> Iterator[list[Answer]]:
        """As `fetch` for all parts, in no order: the server is at one of them while the answers to another are read.

        Whose answer one is, is told by its UID: a server may carry out several commands at once (RFC 9051, 5.5).
        `ahead`: commands that are on their way at a time. `holding`: see read_answers.
        """
        wire, coming = self._client._imap, iter(parts)
        asked: deque[tuple[bytes, Sequence[int]]] = deque()
        with self._asking():
            try:
                while True:
                    while len(asked) < ahead and (part := next(coming, None)):
                        asked.append((wire._new_tag(), part))
                        wire.send(b"%b UID FETCH %b %b\r\n" % (asked[-1][0], _set(part).encode(), items.encode()))
                    if not asked:
                        return
                    wanted = {uid for _, part in asked for uid in part}
                    kind, words, said = fetched(wire, asked[0][0])
                    if kind != "NO" or b"[EXPUNGEISSUED]" not in words[0].upper():
                        _check(kind, words)
                    del wire.tagged_commands[asked.popleft()[0]]
                    answers = read_answers(said, lenient=lenient, holding=holding)
                    yield [answer for answer in answers if answer.uid in wanted]
            finally:
                if asked:  # nobody is going to read what is still said
                    self.drop()

    @contextmanager
    def idle(self, answer: float) -> Iterator[Callable[[float], list[bytes]]]:
        """Be in IDLE (RFC 2177) in the open folder; `answer`: seconds for the server to begin and to end it.

        Gives a function that waits for the untagged lines that come within some seconds. What
        came before the IDLE stood comes first.
        """
        wire = self._client._imap
        with self._asking():
            tag = wire._new_tag()
            wire.send(tag + b" IDLE\r\n")
            early = _until(wire, b"+", tag, answer)

        def said(seconds: float) -> list[bytes]:
            if early:
                return [early.pop(0) for _ in range(len(early))]
            with self._asking():
                return list(wire.lines(seconds))

        yield said
        with self._asking():
            wire.send(b"DONE\r\n")
            _until(wire, tag, tag, answer)
            if wire.unfinished:
                raise ValueError("half a line after the end of IDLE")

    def mark_deleted(self, uids: Sequence[int]) -> None:
        """Set \\Deleted on these, silently."""
        with self._asking():
            self._client.add_flags(uids, imapclient.DELETED, silent=True)

    def expunge(self, uids: Sequence[int]) -> None:
        """Remove these, and nothing else that is marked (RFC 4315)."""
        with self._asking():
            self._client.uid_expunge(uids)

    def expunge_all_marked(self) -> None:
        """Remove whatever is marked \\Deleted in the open folder, whoever marked it."""
        with self._asking():
            _check(*self._client._imap.expunge())

    def move(self, uids: Sequence[int], folder: str) -> dict[int, tuple[int, int]]:
        """Move these (RFC 6851): of each its new UIDVALIDITY and UID, as far as the server says."""
        with self._asking():
            answers = self._client._imap.untagged_responses
            answers.pop("COPYUID", None)
            self._client.move(uids, self._spelling(folder))
            return _copyuid(answers.pop("COPYUID", []), len(uids))

    def drop(self) -> None:
        """End the connection at once."""
        self.alive = False
        self.selected = None
        self._client._imap.shutdown()

    def close(self) -> None:
        """Take leave, briefly. Never raises."""
        if self.alive:
            self._client._imap.hurry()
            with suppress(SourceError), self._asking():
                self._client.logout()
            self.drop()

    def _open(self, folder: str, *, writable: bool) -> Selected:
        self.selected = None
        with self._asking():
            said = self._client.select_folder(self._spelling(folder), readonly=not writable)
            if not 0 < said.get(b"UIDVALIDITY", 0) <= UIDS_END or said.get(b"UIDNEXT", 1) > UIDS_END:
                raise RefusedError("the server gives no UIDVALIDITY there, or one that is none (RFC 9051, 9)")
            self.selected = Selected(
                folder, said[b"UIDVALIDITY"], said.get(b"UIDNEXT"), said.get(b"EXISTS", 0), writable
            )
        return self.selected

    def _spelling(self, folder: str) -> bytes:
        spelled = self._spelled.get(folder) or bytes(encode(folder))
        if re.search(rb"[\r\n\0\x80-\xff]", spelled):
            raise RefusedError("its name cannot be asked for")
        return spelled

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One exchange: here the vendors' errors end."""
        if not self.alive:
            raise LostError("the connection was lost")
        self._used = time.monotonic()
        try:
            yield
        except IMAPClientReadOnlyError:
            self.drop()
            raise LostError("the folder can only be read") from None
        except IMAPClientError as error:
            if type(error) is IMAPClientError:  # a tagged NO or BAD, and no child of it: the exchange is whole
                raise RefusedError("the server refused" + _code(error)) from None
            self.drop()
            raise LostError("the connection was lost") from None
        except OSError:
            self.drop()
            raise LostError("the connection was lost") from None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            # imapclient's parsers meet a malformed answer with any of these
            self.drop()
            raise LostError("the server's answer cannot be read") from None


def _until(wire: Any, wanted: bytes, tag: bytes, seconds: float) -> list[bytes]:
    """The other lines that come with the one that begins with `wanted`; OSError when it does not come."""
    others: list[bytes] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        lines: list[bytes] = wire.lines(left)
        for number, line in enumerate(lines):
            if line.startswith(wanted):
                if wanted == tag and not line[len(tag) :].upper().startswith(b" OK"):
                    raise ValueError("IDLE ended in a refusal")
                return others + lines[number + 1 :]
            if line.startswith(tag):
                raise ValueError("IDLE was refused")
            others.append(line)
    raise TimeoutError("no answer to IDLE")


def chunks(uids: Sequence[int], size: int = CHUNK) -> Iterator[Sequence[int]]:
    """Explicit lists that fit into a command. (A range `n:*` would hold the last message, however old.)"""
    return (uids[start : start + size] for start in range(0, len(uids), size))


_CODES = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "NONEXISTENT", "NOPERM", "CANNOT", "OVERQUOTA", "CORRUPTION")
"""Response codes (RFC 5530) that may be passed on; the rest of an answer may quote anything."""


def _fingerprint(sock: Any) -> str:
    """SHA-256 of the server's certificate in hexadecimal; "" without TLS."""
    certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def _folder(attributes: Sequence[bytes], delimiter: bytes | None, name: bytes | str | None) -> tuple[Folder, bytes]:
    if name is None:  # a folder called NIL, unquoted, as an astring may be
        name = b"NIL"
    spelled = name.encode("ascii") if isinstance(name, str) else name
    lowered = frozenset(attribute.decode("ascii").lower() for attribute in attributes)
    return Folder(decode(spelled), lowered, (delimiter or b"").decode("ascii")), spelled


def _set(uids: Iterable[int]) -> str:
    return ",".join(map(str, uids))


def _check(kind: str, data: Sequence[Any]) -> None:
    if kind != "OK":
        raise IMAPClientError(data[0] if data else b"")


def _code(error: Exception) -> str:
    """The response code of a refusal (RFC 5530), if it has a known one: the rest may quote anything."""
    code = next((code for code in _CODES if f"[{code}]" in str(error).upper()), None)
    return f" ({code})" if code else ""


def _copyuid(answers: Iterable[bytes], asked: int) -> dict[int, tuple[int, int]]:
    """UIDVALIDITY, old UIDs and new UIDs of a COPYUID (RFC 4315, 3), paired in their order."""
    places: dict[int, tuple[int, int]] = {}
    for answer in answers:
        match = re.fullmatch(rb"(\d{1,10}) ([\d:,]+) ([\d:,]+)", answer)
        if match:
            old, new = _expanded(match[2], asked), _expanded(match[3], asked)
            if len(old) == len(new):
                places |= {uid: (int(match[1]), to) for uid, to in zip(old, new, strict=True)}
    return places


def _expanded(spelled: bytes, limit: int) -> list[int]:
    """The UIDs of a set; none where it is larger than what was asked for."""
    uids: list[int] = []
    for part in spelled.split(b","):
        first, _, last = part.partition(b":")
        ends = sorted((int(first), int(last or first)))
        if len(uids) + ends[1] - ends[0] >= limit:
            return []
        uids += range(ends[0], ends[1] + 1)
    return uids
