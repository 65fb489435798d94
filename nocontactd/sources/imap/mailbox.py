"""A mailbox as a Source. It is opened for reading only, and for writing only to remove receipts.

A folder that stands as it was left is not opened at all (unchanged.py). What goes wrong with one
message or one folder holds up no other; a lost connection is made anew once, and only a server that
cannot be reached ends a look.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.model import (
    Cursor,
    Envelope,
    Look,
    MessageRef,
    Original,
    PutBack,
    Receipt,
    Removal,
    Stretch,
    Written,
)
from nocontactd.ports import Concerns
from nocontactd.reading import Reader
from nocontactd.sources.imap.answers import Standing
from nocontactd.sources.imap.arrival import Arrival, Wanted, bring, following
from nocontactd.sources.imap.choosing import Choosing
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.folders import Choice
from nocontactd.sources.imap.idle import Listener
from nocontactd.sources.imap.login import Server, connect
from nocontactd.sources.imap.look import envelopes_of, look_through
from nocontactd.sources.imap.older import BACKLOG, Below, look_below
from nocontactd.sources.imap.original import open_original
from nocontactd.sources.imap.putting_back import put_back, with_marks
from nocontactd.sources.imap.removal import goes_through_trash, take_out
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.sent import written_in
from nocontactd.sources.imap.session import LostError, RefusedError, Session
from nocontactd.sources.imap.together import Together
from nocontactd.sources.imap.unchanged import Unchanged
from nocontactd.sources.imap.wire import Patience

ONE_BY_ONE = 3600.0
"""Seconds without flights after a connection was lost in one: the server may not bear them, or it was chance."""

SKEW = timedelta(hours=1)
"""By which a server's clock may be wrong where a message in a folder that is new is told to be new by its time."""


class Mailbox:
    """A mailbox on an IMAP server; one thread owns it for the length of a pass."""

    def __init__(
        self,
        name: str,
        *,
        host: str,
        port: int,
        user: str,
        security: str,
        password: Callable[[], str],
        folders: tuple[str, ...] | None = None,
        never_touch: tuple[str, ...] = (),
        ca_file: Path | None = None,
        token: bool = False,
        renewed: Callable[[], str] | None = None,
        patience: Patience | None = None,
        reader: Reader = Reader(),  # noqa: B008  # frozen
        backlog: int = BACKLOG,
        filed: str = "",
    ) -> None:
        """`security`: tls, starttls or none (loopback only). `token`: `password` gives an OAuth token,
        and `renewed` another one when the server refused that.

        `folders`: those to look at; None: all but Sent and Drafts. `never_touch`: nor those, and
        what lies below them. `reader`: what its messages are read by. `backlog`: with more older
        messages than this in a folder, only some fields of their headers are read. `filed`: where our
        own rule on the server files to; it is looked at whatever `folders` says.
        """
        self._server = Server(name, host, port, user, security, ca_file, token, patience or Patience())
        self._log_in: Callable[[], Session] = lambda: connect(self._server, password, renewed)
        self._seen = Seen()
        self._contents = Contents(reader)
        self._backlog = backlog
        self._below = Below()
        self._together = Together()
        self._session: Session | None = None
        self._unchanged = Unchanged()
        self._choosing = Choosing(name, self._connected, self._unchanged.doubts, folders, never_touch, filed)
        self._inbox: Choice | None = None
        """As it was looked at last, if it is among the folders to look at."""
        self._one_by_one_until = 0.0
        self._last: datetime | None = None
        """When the last whole look began."""

    @property
    def name(self) -> str:
        return self._server.source

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        """See ports.Source. Folders that fail give a Look with the problem."""
        listed, choices = self._choosing.looked_at()
        filed = self._choosing.filed()
        self._inbox = next((choice for choice in choices if choice.folder.upper() == "INBOX"), None)
        self._seen.clear()
        at, begun, since = time.monotonic(), datetime.now(UTC), self._since(cursors)
        unreachable = False
        for choice in choices:
            problem = choice.problem
            try:
                if not problem and not unreachable:
                    known, filing = cursors.get(choice.folder), choice.folder == filed
                    looked = self._through(choice.folder, listed.standing, known, rules, at, since, filing=filing)
                    yield from with_marks(self._connected(), looked) if filing else looked
                    continue
            except (LostError, RefusedError) as error:
                problem = error.message
            except (UnreachableError, CredentialError):
                unreachable = True
            yield Look(choice.folder, 0, 0, 0, problem or "the server could not be reached again")
        self._last = begun

    def _through(
        self,
        folder: str,
        standing: Mapping[str, Standing],
        cursor: Cursor | None,
        rules: str,
        at: float,
        since: datetime | None,
        *,
        filing: bool = False,
    ) -> Iterator[Envelope | Look]:
        """One folder, as far as it may hold anything that was not seen.

        `since`: when what arrived is new even in a folder that is. `filing`: our own rule files to it, so that all it
        holds has come since.
        """
        thorough = self._unchanged.doubts(folder, at) or self._unchanged.is_contradicted(folder, standing)
        if not thorough and (left := self._unchanged.look(folder, standing, cursor, rules)):
            yield left
            return
        session = self._connected()
        for item in look_through(
            *(session, self.name, folder, cursor, self._seen, self._contents),
            thorough=thorough,
            all_new=filing,
            since=since,
        ):
            if isinstance(item, Look):
                self._unchanged.leave(item, at)
            yield item

    def arrivals(
        self, cursors: Mapping[str, Cursor], rules: str, handed_over: Sequence[Arrival] = ()
    ) -> tuple[Iterator[Envelope | Look], Arrival | None]:
        """What came to the inbox since the last look at it, before anything else is looked at.

        From what a listener has `handed_over` where that follows on, and then it is given back, else from the server.
        Whatever goes wrong here is left to `scan`.
        """
        choice = self._inbox
        cursor = cursors.get(choice.folder) if choice else None
        if choice is None or choice.problem or cursor is None:
            return iter(()), None
        self._seen.clear()
        at = time.monotonic()
        if (arrival := following(handed_over, cursor)) and not self._unchanged.doubts(choice.folder, at):
            self._unchanged.leave(arrival.look, at)
            return iter((*arrival.envelopes, arrival.look)), arrival
        return self._opened(choice.folder, cursor, rules, at, self._since(cursors)), None

    def _since(self, cursors: Mapping[str, Cursor]) -> datetime | None:
        """From when on a message is new wherever it stands; None: what was looked at before is not known any more."""
        return self._last - SKEW if self._last and cursors else None

    def _opened(
        self, folder: str, cursor: Cursor, rules: str, at: float, since: datetime | None
    ) -> Iterator[Envelope | Look]:
        try:  # a connection that has died unnoticed is found out by what is asked of it first
            if self._session is None or not self._session.alive:
                self._connected()
            yield from self._through(folder, {}, cursor, rules, at, since)
        except SourceError:
            return

    def start_removing(self, folder: str) -> None:
        """Have this folder opened for removing while something else is done; `remove` hears the answer."""
        session = self._session
        if session and session.alive and not goes_through_trash(session.capabilities):
            with suppress(SourceError):
                session.start_selecting(folder)

    def older(self, cursor: Cursor, concerns: Concerns) -> Iterator[Stretch]:
        """See ports.Source."""
        contents, below = self._contents, self._below
        with self._unlooked():
            yield from look_below(self._connected(), self.name, cursor, concerns, contents, below, self._backlog)

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        """See ports.Source."""
        self._seen.clear()
        with self._unlooked():
            for folder, uidvalidity in dict.fromkeys((ref.folder, ref.uidvalidity) for ref in refs):
                session = self._connected()
                now = session.reading(folder)
                if now.uidvalidity == uidvalidity:  # else they have gone: what has their UIDs now is something else
                    uids = sorted(int(ref.uid) for ref in refs if ref.folder == folder)
                    yield from envelopes_of(session, self.name, now, uids, self._contents, self._seen, arrival=False)

    def written(self, cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        """See ports.Source."""
        listed, folders = self._choosing.sent()
        at = time.monotonic()
        for folder in folders:
            left = self._unchanged.look(folder, listed.standing, cursors.get(folder), "")
            if left and not self._unchanged.doubts(folder, at):
                yield left
                continue
            try:
                for item in written_in(self._connected(), folder, cursors.get(folder)):
                    if isinstance(item, Look):
                        self._unchanged.leave(item, at)
                    yield item
            except (LostError, RefusedError) as error:
                yield Look(folder, 0, 0, 0, error.message)

    def fetch(self, ref: MessageRef) -> Original | None:
        """See ports.Source."""
        try:
            return open_original(self._connected(), ref, self._seen, self._contents.reader, self._together)
        except SourceError:
            if not self._together.failed:
                raise
            return open_original(self._connected(), ref, self._seen, self._contents.reader, self._together)

    def expect(self, refs: Sequence[MessageRef]) -> None:
        """See ports.Source."""
        self._together.expect(refs)

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        """See ports.Source. What was moved to a Trash, because it can leave only from there, says so."""
        gone: list[Receipt] = []
        moved: list[Receipt] = []
        problems: list[Exception] = []
        for (folder, uidvalidity), group in _places(receipts).items():
            try:
                removal = self._remove(folder, uidvalidity, group)
            except (LostError, RefusedError) as error:
                problems.append(self._unremoved(error.message))
                continue
            except (UnreachableError, CredentialError) as error:
                problems.append(error)
                break
            gone += removal.gone
            moved += removal.moved
            problems += removal.problems
        return Removal(tuple(gone), tuple(moved), tuple(problems))

    def put_back(self, steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """See ports.Source."""
        try:
            return put_back(self._connected(), [step.envelope.ref for step in steps])
        except (LostError, RefusedError) as error:
            raise SourceError(f"{self.name}: what was filed by mistake was not put back: {error.message}") from None

    def placed(self, folder: str) -> str:
        """The name of a folder of the owner's own in full: some servers begin it with a prefix. SourceErrors."""
        return self._choosing.placed(folder)

    def check(self) -> tuple[str, ...]:
        """What keeps this mailbox from being looked through and cleared, a sentence each; nothing is changed.

        SourceError, CredentialError: it cannot be looked at at all.
        """
        listed, choices = self._choosing.looked_at()
        found = [problem for choice in choices if (problem := self._unreadable(choice))]
        session = self._connected()
        if goes_through_trash(session.capabilities):
            if self._choosing.trash(listed.folders, listed.foreign) is None:
                found.append("messages leave this server by way of its Trash, and it has none that may be used")
        elif "UIDPLUS" not in session.capabilities:
            found.append(
                "the server cannot expunge single messages (no UIDPLUS, no MOVE): what is sealed stays there, marked"
                " as deleted, for as long as another program has messages marked in that folder"
            )
        return tuple(found)

    def remarks(self) -> tuple[str, ...]:
        """What is no fault and should be known, a sentence each. SourceError, CredentialError: as `check`."""
        listed, folders = self._choosing.sent()
        misspelt = self._choosing.misspelt(listed.folders)
        if not folders or any(self._unreadable(Choice(folder)) for folder in folders):
            unread = "whom you have written to is not known: no Sent folder can be read; so they may be held, too"
            return (*misspelt, unread)
        return misspelt

    def _unreadable(self, choice: Choice) -> str:
        try:
            if not choice.problem:
                self._connected().examine(choice.folder)
                return ""
        except (LostError, RefusedError) as error:
            return f"a folder cannot be looked through: {error.message}"
        return f"a folder cannot be looked through: {choice.problem}"

    def listener(self, ring: Callable[[], None], wanted: Wanted, put: Callable[[Arrival], None]) -> Listener:
        """What calls `ring` when something may have come, over a connection of its own; `put` is given what it was.

        `wanted`: whether a message is to be sealed, so that its octets are asked for.
        """
        name, reader = self.name, self._contents.reader
        return Listener(
            self._log_in,
            ring,
            random.random,
            bring=lambda session, where, uids: bring(session, name, where, uids, reader, wanted),
            put=put,
        )

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session:
            self._session.close()
        self._session = None

    def _connected(self) -> Session:
        if self._session and self._session.alive:
            self._session.try_it()
        if not self._session or not self._session.alive:
            if self._session and self._session.lost_in_flight:
                self._one_by_one_until = time.monotonic() + ONE_BY_ONE
            self._session = self._log_in()
            self._session.flies = time.monotonic() >= self._one_by_one_until
        return self._session

    def _remove(self, folder: str, uidvalidity: int, receipts: Sequence[Receipt]) -> Removal:
        session = self._connected()
        through = None
        if goes_through_trash(session.capabilities):
            through = self._choosing.trash(session.folders(), session.foreign())
        try:
            selected = session.select(folder)
        except RefusedError:
            if any(listed.name == folder for listed in session.folders()):
                raise
            return Removal(tuple(receipts))  # the folder is gone, and all that was in it
        if selected.uidvalidity != uidvalidity:
            # These UIDs mean nothing any more (RFC 9051, 2.3.1.1): what has one of them now is another
            # message. If the sealed one still stands there, the scan of the whole folder that a new
            # UIDVALIDITY brings seals it once more and removes it under its new UID.
            session.leave()
            return Removal(tuple(receipts))
        taken = take_out(session, folder, [int(receipt.ref.uid) for receipt in receipts], through)
        session.leave()
        moved = [(receipt.record, taken.moved.get(int(receipt.ref.uid))) for receipt in receipts]
        return Removal(
            tuple(receipt for receipt in receipts if int(receipt.ref.uid) in taken.gone),
            tuple(
                Receipt(record, MessageRef(self.name, through or "", place[0], str(place[1])))
                for record, place in moved
                if place
            ),
            (self._unremoved(taken.problem),) if taken.problem else (),
        )

    @contextmanager
    def _unlooked(self) -> Iterator[None]:
        try:
            yield
        except (LostError, RefusedError) as error:
            raise SourceError(f"{self.name}: a folder was not looked through: {error.message}") from None

    def _unremoved(self, problem: str) -> SourceError:
        return SourceError(f"{self.name}: what is sealed was not removed: {problem}")


def _places(receipts: Sequence[Receipt]) -> dict[tuple[str, int], list[Receipt]]:
    places: dict[tuple[str, int], list[Receipt]] = {}
    for receipt in receipts:
        places.setdefault((receipt.ref.folder, receipt.ref.uidvalidity), []).append(receipt)
    return places
