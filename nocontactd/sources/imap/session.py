"""One logged-in connection: the commands that are ever given, and the folder that is open.

What is asked for may be asked ahead, or heard later, so that it costs no round trip of its own.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import imapclient
from imapclient.exceptions import IMAPClientError, IMAPClientReadOnlyError
from imapclient.imap_utf7 import decode, encode

from nocontactd.sources.imap import answers
from nocontactd.sources.imap.answers import UIDS_END, Standing
from nocontactd.sources.imap.exchange import Exchange
from nocontactd.sources.imap.exchange import LostError as LostError
from nocontactd.sources.imap.exchange import RefusedError as RefusedError
from nocontactd.sources.imap.fetch_answers import Answer, read_answers
from nocontactd.sources.imap.flight import Flight, Heard
from nocontactd.sources.imap.folders import Folder
from nocontactd.sources.imap.idling import Idling
from nocontactd.sources.imap.replies import Replies
from nocontactd.sources.imap.wire import fingerprint

T = TypeVar("T")

CHUNK = 500
"""UIDs in one command: 5,500 octets at most, and servers take lines of 8,000 (RFC 7162, 4)."""
FLIGHT = 100
"""Folders that are asked after in one flight: few enough that neither side waits with its answers for the other."""
_STATUS = b"(UIDNEXT UIDVALIDITY MESSAGES)"
_NEWS = b"(MessageNew MessageExpunge)"
"""The one is not to be had without the other (RFC 5465, 5)."""

FEW = 10
"""Messages that are marked and expunged in one flight."""
AHEAD = 2
"""Commands whose answers are on their way at a time; together they fit into what one may come to (wire.py)."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What the server said of a folder when it was opened."""

    folder: str
    uidvalidity: int
    uidnext: int | None
    exists: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is asked for in the flight that opens a folder, so that it need not be asked for in one of its own."""

    first: int
    last: int
    """UIDs, both of them numbers: `*` would bring the last message, however old."""
    items: str

    @property
    def command(self) -> bytes:
        return f"UID FETCH {self.first}:{self.last} {self.items}".encode("ascii")


class Session(Exchange):
    """A login on a mailbox; see Exchange for how its calls fail."""

    def __init__(self, client: Any, fresh: float) -> None:
        super().__init__(client, fresh)
        self._spelled: dict[str, bytes] = {}
        self._spaces: tuple[str, tuple[str, ...]] | None = None
        self._ahead: tuple[Ahead, list[Answer]] | None = None
        self._under_way: Flight | None = None
        self._started: tuple[str, bytes] | None = None
        """The folder that is being opened for removing, and the tag of the command that does it."""
        self.selected: Selected | None = None
        self.unread = False
        """Of a folder that was listed last the row could not be read."""
        self.greeting: str = client.welcome.decode("utf-8", "backslashreplace")
        self.certificate = fingerprint(client.socket())
        with self._asking():
            self.capabilities = frozenset(word.decode("ascii") for word in client.capabilities())
        self._lists_status = "LIST-STATUS" in self.capabilities

    def folders(self) -> tuple[Folder, ...]:
        """All folders that the server lists, with their SPECIAL-USE (RFC 6154) where it has that."""
        return self._list()[0]

    def survey(self) -> tuple[tuple[Folder, ...], dict[str, Standing]]:
        """All folders, and how they stand as far as the server says so in the same answer (RFC 5819).

        No folder is open then where that can be, for of the open one a STATUS may be stale.
        """
        if self._lists_status:
            try:
                return self._list(status=True, leaving=self._leaving())
            except RefusedError:
                self._lists_status = False
        return self._list(leaving=self._leaving())

    def _list(
        self, *, status: bool = False, leaving: tuple[bytes, ...] = ()
    ) -> tuple[tuple[Folder, ...], dict[str, Standing]]:
        # Cyrus tells SPECIAL-USE only when it is asked for.
        wanted = [b"SPECIAL-USE"] if "SPECIAL-USE" in self.capabilities else []
        wanted += [b"STATUS " + _STATUS] if status else []
        extended = status or {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities
        command = b'LIST "" "*"' + (b" RETURN (%b)" % b" ".join(wanted) if extended else b"")
        with self._asking():
            untagged = self._client._imap.untagged_responses
            untagged.clear()  # in looks without a SELECT nothing else ever does, and it would grow for months
            *_, (kind, data) = self._flight(*leaving, command)
            _check(kind, data)
            found = list(answers.apart(self._rows(untagged.pop("LIST", []))))
            said = dict(answers.standings(untagged.pop("STATUS", [])))
        self._spelled = {folder.name: spelled for folder, spelled in found}
        stand = {name: said[spelled] for name, spelled in self._spelled.items() if spelled in said}
        if self.selected:
            stand.pop(self.selected.folder, None)
        prefix = self.own_prefix()
        return tuple(replace(folder, above=prefix) for folder, _ in found), stand

    def _rows(self, said: Sequence[Any]) -> Iterator[tuple[Folder, bytes]]:
        """Each row of LIST by itself: one that cannot be read is one folder that cannot be looked at."""
        self.unread = False
        for row in said:
            try:
                yield from (answers.folder(*read) for read in self._client._proc_folder_list([row]))
            except (IMAPClientError, ValueError, TypeError, AttributeError):
                self.unread = True

    def standings(self, folders: Sequence[str]) -> dict[str, Standing]:
        """How these folders stand, as far as the server says; never of the one that is open."""
        asked = [name for name in folders if not self.selected or self.selected.folder != name]
        found: dict[str, Standing] = {}
        for part in (asked[at : at + FLIGHT] for at in range(0, len(asked), FLIGHT)):
            with self._asking():
                untagged = self._client._imap.untagged_responses
                untagged.pop("STATUS", None)
                self._flight(*(b"STATUS %b %b" % (self._quoted(name), _STATUS) for name in part))
                said = dict(answers.standings(untagged.pop("STATUS", [])))
            found |= {name: said[spelled] for name in part if (spelled := self._spelling(name)) in said}
        return found

    def foreign(self) -> tuple[str, ...]:
        """The prefixes of other users' and shared folders (RFC 2342)."""
        return self._prefixes()[1]

    def own_prefix(self) -> str:
        """What the names of the owner's own folders begin with (RFC 2342); "" at most servers, or where none says."""
        return self._prefixes()[0]

    def _prefixes(self) -> tuple[str, tuple[str, ...]]:
        """The owner's own, and all others; asked once a session."""
        if self._spaces is None and "NAMESPACE" in self.capabilities:
            with self._asking():
                said = self._client.namespace()
                own = [decode(prefix) for prefix, _ in said.personal or ()]
                others = [decode(prefix) for prefix, _ in (*(said.other or ()), *(said.shared or ())) if prefix]
                self._spaces = (own[0] if own else "", tuple(others))
        return self._spaces or ("", ())

    def examine(self, folder: str, ahead: Ahead | None = None) -> Selected:
        """Open a folder for reading and hear how it stands now: nothing that is read there is marked.

        `ahead`: what is asked of it next, if at all; `fetch` then has it already.
        """
        return self._open(folder, writable=False, ahead=ahead)

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
        if self._started and self._started[0] == folder:
            self._hear_started()
            return self._selected()
        return self._open(folder, writable=True)

    def start_selecting(self, folder: str) -> None:
        """Ask to open a folder for removing, and do not wait: `select` hears the answer, or whatever is asked first."""
        with self._asking():
            wire = self._client._imap
            opening = self._opening(folder, writable=True)
            tag = wire._new_tag()
            wire.send(b"%b %b\r\n" % (tag, opening))
            self._started = folder, tag

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
            return answers.found(data)

    def standing(self, uids: Iterable[int]) -> frozenset[int]:
        """Which of these are in the open folder."""
        wanted = sorted(uids)
        return frozenset(uid for part in chunks(wanted) for uid in self.search("UID", _set(part))) & set(wanted)

    def fetch(self, uids: Sequence[int], items: str, *, lenient: bool = False) -> list[Answer]:
        """What the server says of at most CHUNK messages, besides what it says unasked.

        `lenient`: an answer that cannot be read is left out, and is no LostError.
        """
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0].items == items and ahead[0].first <= min(uids) and max(uids) <= ahead[0].last:
            return [answer for answer in ahead[1] if answer.uid in set(uids)]
        with self._asking():
            imap = self._client._imap
            imap.untagged_responses.pop("FETCH", None)
            kind, data = imap.uid("FETCH", _set(uids), items)
            if kind == "NO":
                _check_all_but_expunged(kind, data)
                data = imap.untagged_responses.pop("FETCH", [])
            wanted = set(uids)
            return [answer for answer in read_answers(data, lenient=lenient) if answer.uid in wanted]

    def notify(self) -> None:
        """Have the server tell of what comes to any of the owner's folders (RFC 5465), if it does that.

        What is open goes on being told of as ever.
        """
        if "NOTIFY" in self.capabilities:
            with suppress(RefusedError), self._asking():
                for outcome in self._flight(b"NOTIFY SET (SELECTED %b) (PERSONAL %b)" % (_NEWS, _NEWS)):
                    _check(*outcome)

    def octets_each(self, parts: Iterable[Sequence[int]], items: str) -> Generator[list[tuple[int, bytes]], None, None]:
        """UID and octets of each part, in no order, where the items are the UID and one piece of the message.

        A list for each part, mostly of its messages, and at the last of all of all.
        """

        def read(heard: Heard) -> list[tuple[int, bytes]]:
            strictly = [(answer.uid or 0, answer.octets or b"") for answer in read_answers(heard.reply.said)]
            return [each for each in heard.reply.alike + strictly if each[0] in heard.wanted]

        return self._each(Replies(self._client._imap, literals=True), parts, items, AHEAD, read)

    def fetch_each(
        self, parts: Iterable[Sequence[int]], items: str, *, holding: Sequence[bytes]
    ) -> Iterator[list[Answer]]:
        """As a lenient `fetch` for each part, one at a time. `holding`: as in Replies."""

        return self._each(Replies(self._client._imap, holding=holding), parts, items, 1, _answers_of)

    def fetch_ahead(self, parts: Iterable[Sequence[int]], items: str) -> Generator[list[Answer], None, None]:
        """As a lenient `fetch` for each part, while the next ones are under way; with what has come of those."""
        return self._each(Replies(self._client._imap), parts, items, AHEAD, _answers_of)

    def _each(
        self,
        replies: Replies,
        parts: Iterable[Sequence[int]],
        items: str,
        ahead: int,
        read: Callable[[Heard], list[T]],
    ) -> Generator[list[T], None, None]:
        """What is read of the answers to each part, with as many as `ahead` under way.

        Where nobody goes on with it, what is still to be said to it is heard by whoever asks next.
        """
        flight = Flight(self._client._imap, replies, parts, items, ahead if self.flies else 1)
        with self._asking():
            while heard := self._heard(flight):
                _check_all_but_expunged(heard.reply.kind, [heard.reply.words])
                yield read(heard)

    def _heard(self, flight: Flight) -> Heard | None:
        """What came next, with as many under way again as may be."""
        flight.ask()
        if flight.asked and not flight.heard:
            self._hear(flight)
        heard = flight.heard.popleft() if flight.heard else None
        flight.ask()
        self._under_way = flight
        return heard

    def _hear(self, flight: Flight) -> None:
        self.lost_in_flight = len(flight.asked) > 1
        flight.hear()
        self.lost_in_flight = False

    @contextmanager
    def idle(self, answer: float) -> Iterator[Idling]:
        """Be in IDLE in the open folder; `answer`: seconds for the server to begin and to end it."""
        idling = Idling(self._client._imap, self._asking, answer)
        yield idling
        idling.end()

    def ask_after(self, idling: Idling, ahead: Ahead) -> tuple[list[bytes], list[int]]:
        """End an IDLE and ask for this in one flight: what was said until it had ended, and the UIDs that came.

        `fetch` then has what came. What else is said meanwhile is in `news`.
        """
        with self._asking():
            wire = self._client._imap
            wire.untagged_responses.clear()
            self.lost_in_flight = True
            said, (kind, data) = idling.end_asking(ahead.command)
            self.lost_in_flight = False
            _check(kind, data)
            came = list(read_answers(wire.untagged_responses.pop("FETCH", [])))
            self._ahead = ahead, came
        return said, sorted({each.uid for each in came if each.uid and ahead.first <= each.uid <= ahead.last})

    def news(self) -> tuple[int | None, bool]:
        """What was said unasked of the open folder: how many messages it holds, and whether any was expunged."""
        with self._asking():
            said = self._client._imap.untagged_responses
            exists, expunged = said.pop("EXISTS", []), said.pop("EXPUNGE", [])
            return (int(exists[-1]) if exists else None), bool(expunged)

    def mark_deleted(self, uids: Sequence[int]) -> None:
        """Set \\Deleted on these, silently."""
        with self._asking():
            self._client.add_flags(uids, imapclient.DELETED, silent=True)

    def unmark(self, uids: Sequence[int], keyword: str) -> None:
        """Take this keyword off these, silently."""
        with self._asking():
            self._client.remove_flags(uids, [keyword], silent=True)

    def remove(self, uids: Sequence[int]) -> None:
        """Mark these and expunge these alone (RFC 4315), in one flight: each is taken in its order (RFC 9051, 5.5).

        From a server that does not, nobody loses anything: an EXPUNGE before its STORE removes nothing.
        Dovecot may do so where the STORE takes long; so many messages are marked in a flight of their own.
        What came of it is to be asked afterwards: to a SEARCH in the same flight Dovecot answers as if
        nothing had been expunged yet.
        """
        these = _set(uids).encode("ascii")
        store, expunge = b"UID STORE %b +FLAGS.SILENT (\\Deleted)" % these, b"UID EXPUNGE %b" % these
        flights = [(store, expunge)] if len(uids) <= FEW else [(store,), (expunge,)]
        with self._asking():
            for flight in flights:
                for outcome in self._flight(*flight):
                    _check(*outcome)

    def expunge_all_marked(self) -> None:
        """Remove whatever is marked \\Deleted in the open folder, whoever marked it."""
        with self._asking():
            _check(*self._client._imap.expunge())

    def move(self, uids: Sequence[int], folder: str) -> dict[int, tuple[int, int]]:
        """Move these (RFC 6851): of each its new UIDVALIDITY and UID, as far as the server says."""
        with self._asking():
            untagged = self._client._imap.untagged_responses
            untagged.pop("COPYUID", None)
            self._client.move(uids, self._spelling(folder))
            return answers.copyuid(untagged.pop("COPYUID", []), len(uids))

    def copy(self, uids: Sequence[int], folder: str) -> None:
        """Copy these, all or none (RFC 9051, 6.4.7)."""
        with self._asking():
            self._client.copy(uids, self._spelling(folder))

    def _open(self, folder: str, *, writable: bool, ahead: Ahead | None = None) -> Selected:
        with self._asking():
            opening = self._opening(folder, writable=writable)
            opened, *asked = self._flight(opening, *([ahead.command] if ahead else []))
            fetched = self._client._imap.untagged_responses.pop("FETCH", [])
            self._opened(folder, *opened, writable=writable)
            if ahead and asked and asked[0][0] == "OK":
                self._ahead = ahead, list(read_answers(fetched))
        return self._selected()

    def _opening(self, folder: str, *, writable: bool) -> bytes:
        """The command that opens a folder. From now on none is open, until the answer to it was heard."""
        self.selected = self._ahead = None
        wire = self._client._imap
        wire.untagged_responses, wire.is_readonly = {}, not writable
        return (b"SELECT " if writable else b"EXAMINE ") + self._quoted(folder)

    def _opened(self, folder: str, kind: str, data: Sequence[Any], *, writable: bool) -> None:
        wire = self._client._imap
        wire.state = "SELECTED" if kind == "OK" else "AUTH"
        _check(kind, data)
        said = self._client._process_select_response(wire.untagged_responses)
        if writable and b"READ-ONLY" in said:
            raise IMAPClientReadOnlyError
        if not 0 < said.get(b"UIDVALIDITY", 0) <= UIDS_END or said.get(b"UIDNEXT", 1) > UIDS_END:
            raise RefusedError("the server gives no UIDVALIDITY there, or one that is none (RFC 9051, 9)")
        self.selected = Selected(folder, said[b"UIDVALIDITY"], said.get(b"UIDNEXT"), said.get(b"EXISTS", 0), writable)

    def _selected(self) -> Selected:
        if self.selected is None:
            raise RefusedError("no folder is open")
        return self.selected

    def drop(self) -> None:
        """End the connection at once."""
        self.selected = self._under_way = None
        super().drop()

    def _catch_up(self) -> None:
        with suppress(RefusedError):  # of a folder that was to be opened: whoever needs it open asks once more
            self._hear_started()
        while self._under_way and self._under_way.asked:
            self._hear(self._under_way)
        self._under_way = None

    def _hear_started(self) -> None:
        """The answer to the SELECT that is under way, if one is: before anything else is asked."""
        if self._started:
            (folder, tag), self._started = self._started, None
            with self._asking():
                self._opened(folder, *self._client._imap._get_tagged_response(tag), writable=True)

    def _leaving(self) -> tuple[bytes, ...]:
        """The command after which no folder is open, where there is one."""
        if not self.selected or "UNSELECT" not in self.capabilities:
            return ()
        self.selected = self._ahead = None
        self._client._imap.state = "AUTH"
        return (b"UNSELECT",)

    def _quoted(self, folder: str) -> bytes:
        quoted: str = self._client._normalise_folder(self._spelling(folder))
        return quoted.encode()

    def _spelling(self, folder: str) -> bytes:
        spelled = self._spelled.get(folder) or bytes(encode(folder))
        if re.search(rb"[\r\n\0\x80-\xff]", spelled):
            raise RefusedError("its name cannot be asked for")
        return spelled


def _answers_of(heard: Heard) -> list[Answer]:
    answers = read_answers(heard.reply.said, lenient=True)
    return [answer for answer in answers if answer.uid in heard.wanted]


def chunks(uids: Sequence[int], size: int = CHUNK) -> Iterator[Sequence[int]]:
    """Explicit lists that fit into a command. (A range `n:*` would hold the last message, however old.)"""
    return (uids[start : start + size] for start in range(0, len(uids), size))


def _set(uids: Iterable[int]) -> str:
    return ",".join(map(str, uids))


def _check(kind: str, data: Sequence[Any]) -> None:
    if kind != "OK":
        raise IMAPClientError(data[0] if data else b"")


def _check_all_but_expunged(kind: str, data: Sequence[Any]) -> None:
    """Dovecot refuses a FETCH when one of its messages has gone meanwhile, and has answered for the others."""
    if kind != "NO" or b"[EXPUNGEISSUED]" not in data[0].upper():
        _check(kind, data)
