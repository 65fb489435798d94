"""A mailbox as a Source. It is opened for reading only, and for writing only to remove receipts.

What goes wrong with one message or one folder holds up no other; a lost connection is made anew
once, and only a server that cannot be reached ends a look.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nocontactd.errors import CredentialError, SourceError, UnreachableError
from nocontactd.model import Author, Cursor, Envelope, Look, MessageRef, Original, Receipt, Removal, Stretch, Written
from nocontactd.reading import Reader
from nocontactd.sources.imap.ahead import Ahead
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.folders import Choice, Folder, choose, sent, trash
from nocontactd.sources.imap.idle import Listener
from nocontactd.sources.imap.login import Server, connect
from nocontactd.sources.imap.look import envelopes_of, look_through
from nocontactd.sources.imap.older import BACKLOG, Below, look_below
from nocontactd.sources.imap.original import open_original
from nocontactd.sources.imap.removal import goes_through_trash, take_out
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.sent import written_in
from nocontactd.sources.imap.session import LostError, RefusedError, Session
from nocontactd.sources.imap.wire import Patience


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the server says of its folders, and to whom: their spelling is known to that session alone."""

    session: Session
    folders: tuple[Folder, ...]
    foreign: tuple[str, ...]


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
    ) -> None:
        """`security`: tls, starttls or none (loopback only). `token`: `password` gives an OAuth token,
        and `renewed` another one when the server refused that.

        `folders`: those to look at; None: all but Sent and Drafts. `never_touch`: nor those, and
        what lies below them. `reader`: what its messages are read by. `backlog`: with more older
        messages than this in a folder, only some fields of their headers are read.
        """
        self._server = Server(name, host, port, user, security, ca_file, token, patience or Patience())
        self._log_in: Callable[[], Session] = lambda: connect(self._server, password, renewed)
        self._wanted = folders
        self._never_touch = never_touch
        self._seen = Seen()
        self._contents = Contents(reader)
        self._backlog = backlog
        self._below = Below()
        self._ahead = Ahead()
        self._session: Session | None = None
        self._listed: _Listed | None = None
        """As `written` was told just now, for the scan that follows."""

    @property
    def name(self) -> str:
        return self._server.source

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        """See ports.Source. Folders that fail give a Look with the problem."""
        choices = self._choices()
        self._seen.clear()
        unreachable = False
        for choice in choices:
            problem = choice.problem
            try:
                if not problem and not unreachable:
                    session = self._connected()
                    known = cursors.get(choice.folder)
                    yield from look_through(session, self.name, choice.folder, known, rules, self._seen, self._contents)
                    continue
            except (LostError, RefusedError) as error:
                problem = error.message
            except (UnreachableError, CredentialError):
                unreachable = True
            yield Look(choice.folder, 0, 0, 0, problem or "the server could not be reached again")

    def older(self, cursor: Cursor, concerns: Callable[[Sequence[Author]], bool]) -> Iterator[Stretch]:
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
        for folder in self._sent():
            try:
                yield from written_in(self._connected(), folder, cursors.get(folder))
            except (LostError, RefusedError) as error:
                yield Look(folder, 0, 0, 0, error.message)

    def fetch(self, ref: MessageRef) -> Original | None:
        """See ports.Source."""
        try:
            return open_original(self._connected(), ref, self._seen, self._contents.reader, self._ahead)
        except SourceError:
            if not self._ahead.failed:
                raise
            return open_original(self._connected(), ref, self._seen, self._contents.reader, self._ahead)

    def expect(self, refs: Sequence[MessageRef]) -> None:
        """See ports.Source."""
        self._ahead.expect(refs)

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

    def check(self) -> tuple[str, ...]:
        """What keeps this mailbox from being looked through and cleared, a sentence each; nothing is changed.

        SourceError, CredentialError: it cannot be looked at at all.
        """
        found = [problem for choice in self._choices() if (problem := self._unreadable(choice))]
        session = self._connected()
        if goes_through_trash(session.capabilities):
            if trash(session.folders(), session.foreign(), self._never_touch) is None:
                found.append("messages leave this server by way of its Trash, and it has none that may be used")
        elif "UIDPLUS" not in session.capabilities:
            found.append(
                "the server cannot expunge single messages (no UIDPLUS, no MOVE): what is sealed stays there, marked"
                " as deleted, for as long as another program has messages marked in that folder"
            )
        return tuple(found)

    def remarks(self) -> tuple[str, ...]:
        """What is no fault and should be known, a sentence each. SourceError, CredentialError: as `check`."""
        folders = self._sent()
        if not folders or any(self._unreadable(Choice(folder)) for folder in folders):
            return ("whom you have written to is not known: no Sent folder can be read; so they may be held, too",)
        return ()

    def _unreadable(self, choice: Choice) -> str:
        try:
            if not choice.problem:
                self._connected().examine(choice.folder)
                return ""
        except (LostError, RefusedError) as error:
            return f"a folder cannot be looked through: {error.message}"
        return f"a folder cannot be looked through: {choice.problem}"

    def listener(self, ring: Callable[[], None]) -> Listener:
        """What calls `ring` when something may have come to the inbox, over a connection of its own."""
        return Listener(self._log_in, ring, random.random)

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session:
            self._session.close()
        self._session = None

    def _connected(self) -> Session:
        if self._session and self._session.alive:
            self._session.try_it()
        if not self._session or not self._session.alive:
            self._session = self._log_in()
        return self._session

    def _sent(self) -> tuple[str, ...]:
        self._listed = self._list()
        return sent(self._listed.folders, self._listed.foreign, self._never_touch)

    def _choices(self) -> tuple[Choice, ...]:
        known, self._listed = self._listed, None
        session = self._connected()
        listed = known if known and known.session is session else self._list()
        through_trash = goes_through_trash(session.capabilities)
        return choose(listed.folders, listed.foreign, self._wanted, self._never_touch, sweep_trash=through_trash)

    def _list(self) -> "_Listed":
        session = self._connected()
        try:
            return _Listed(session, session.folders(), session.foreign())
        except (LostError, RefusedError) as error:
            raise SourceError(f"{self.name}: its folders were not listed: {error.message}") from None

    def _remove(self, folder: str, uidvalidity: int, receipts: Sequence[Receipt]) -> Removal:
        session = self._connected()
        through = None
        if goes_through_trash(session.capabilities):
            through = trash(session.folders(), session.foreign(), self._never_touch)
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
