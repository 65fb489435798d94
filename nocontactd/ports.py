"""What a pass needs from the world. Adapters fit these shapes; the core never sees an adapter.

Two shapes do the safety work: `Source.remove` takes receipts, so it cannot be called before a
seal; decisions take an `Envelope`, so nobody else's body is ever fetched.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from nocontactd.model import (
    Author,
    Cursor,
    Envelope,
    Intent,
    Look,
    MessageRef,
    Original,
    PutBack,
    Receipt,
    Removal,
    Stretch,
    Verdict,
    Written,
)
from nocontactd.server_rule import Standing, Step
from nocontactd.signatures import Examined


class Source(Protocol):
    """A mailbox or a number. One thread owns it for the length of a pass."""

    @property
    def name(self) -> str: ...

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        """Every message that came since `cursors`, header only, unmarked; they are by these `rules` (a digest).

        All that a folder without a cursor holds is older, and so is what stands in one that was
        numbered anew. A folder's `Look` follows its last envelope. A folder that fails yields a
        `Look` with its problem and the others go on. SourceError, CredentialError: the source
        cannot be looked at at all.
        """
        ...

    def older(self, cursor: Cursor, concerns: Callable[[Sequence[Author]], bool]) -> Iterator[Stretch]:
        """What is older than a cursor's `lower`, header only, unmarked, from the newest down, in bounded stretches.

        `concerns`: whether a message of these authors can come to anything but a pass; others are
        only counted. The last stretch has `lower` 0. SourceError: this folder cannot be looked
        through; UnreachableError, CredentialError: nor can any other.
        """
        ...

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        """These older messages as they stand now, header only, unmarked; one that has gone is left out.

        SourceError: they cannot be looked at.
        """
        ...

    def written(self, cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        """Every message that the owner sent which `cursors` does not cover: to whom and when, unmarked.

        A folder's `Look` follows its last message, with its problem if it fails. Nothing where the
        source keeps no such folder. SourceError, CredentialError: the source cannot be looked at at all.
        """
        ...

    def expect(self, refs: Sequence[MessageRef]) -> None:
        """These will be fetched next, in this order, so that several may be asked for together."""
        ...

    def fetch(self, ref: MessageRef) -> Original | None:
        """The exact octets, unmarked; None when the message is no longer there.

        SourceError, also while the parts are read: cut off, or not the octets that were
        announced. After one, the source may be asked for the next message.
        """
        ...

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        """Take these messages, and no other, out of the source, and ask it again.

        Idempotent: what is gone already is gone. Never raises for a single message.
        """
        ...

    def put_back(self, steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """Move these messages, and no other, to the inbox, flags and dates kept, without the rule's mark.

        Which of them are no longer where they were. Idempotent, and it may leave any of them where it
        is: it is then tried again. SourceError: those of its folder that had not gone yet are still there.
        """
        ...

    def close(self) -> None:
        """End the session, if there is one. Never raises."""
        ...


class Listener(Protocol):
    """Hears that something may have come, in a thread of its own."""

    def run(self) -> None:
        """Listen until `stop`."""
        ...

    def stop(self) -> None:
        """End `run`, from any thread. Never raises."""
        ...


class Relay(Protocol):
    """The other half of a number whose owner reads everybody else's texts elsewhere."""

    def send(self, ref: MessageRef, *, repeat: bool) -> str | None:
        """Pass one text on; the SID of what was sent, None when the text is gone.

        `repeat` marks it as a possible repetition. UnknownOutcomeError: it may have been sent;
        any other SourceError: it certainly was not.
        """
        ...

    def find(self, ref: MessageRef, since: datetime, claimed: frozenset[str]) -> str | None:
        """The SID by which this text was sent since then, if it was, besides those `claimed`."""
        ...


class Batch(Protocol):
    """A group of messages that become durable together."""

    records: tuple[str, ...]
    """The names reserved, one for each ref it was opened with, in that order."""

    def add(self, record: str, original: Original, verdict: Verdict) -> None:
        """Write one original under its reserved name; not durable yet.

        SourceError from its parts is passed on, and this record alone is dropped.
        """
        ...

    def commit(self) -> tuple[Receipt, ...]:
        """Make everything added durable. Before this returns no receipt exists."""
        ...


class Examiner(Protocol):
    """Who looks at the signatures of a mail while it is sealed."""

    def examine(self, octets: bytes, size: int, arrived: datetime, now: datetime) -> Examined | None:
        """What they are worth now; None where that was not looked at. Never raises, and takes seconds at most.

        `octets`: the beginning of the message, `size`: of all of it.
        """
        ...


class Sealer(Protocol):
    """The writing half of the archive. It cannot read what it wrote. Raises SealError."""

    def batch(self, refs: Sequence[MessageRef]) -> AbstractContextManager[Batch]:
        """Open a group; leaving it without commit drops what was written."""
        ...

    def recall(self, record: str, ref: MessageRef) -> Receipt | None:
        """The receipt of a record that was made durable before this process died, if it was."""
        ...

    def note(self, envelope: Envelope, verdict: Verdict) -> None:
        """Seal who, when and why of a held message that stays where it is; durable on return."""
        ...


class Scripts(Protocol):
    """A mail server's Sieve scripts. Raises SourceError and CredentialError."""

    def standing(self) -> Standing: ...

    def carry_out(self, steps: Iterable[Step]) -> None: ...


class Ledger(Protocol):
    """What must outlive a process. Each call is committed on return. Holds no address and no number.

    A power cut may undo `release`, `note` and `close` where no other call has followed: a reservation then stands
    again, of which `Sealer.recall` makes the receipt, or a receipt, by which what is gone is removed once more.

    SealError when it cannot be written: then this source stops.
    """

    def reserve(self, pairs: Iterable[tuple[MessageRef, str]]) -> None:
        """These messages are about to be sealed under these record names."""
        ...

    def reserved(self, source: str) -> Sequence[tuple[MessageRef, str]]: ...

    def release(self, refs: Iterable[MessageRef]) -> None:
        """These reservations came to nothing."""
        ...

    def note(self, receipts: Iterable[Receipt]) -> None:
        """These are sealed and not yet known to be gone; their reservations end."""
        ...

    def open(self, source: str) -> Sequence[Receipt]: ...

    def move(self, receipts: Iterable[Receipt]) -> None:
        """These stand in another place now (same record, new ref)."""
        ...

    def close(self, receipts: Iterable[Receipt]) -> None:
        """These are gone from the source."""
        ...

    def cursors(self, source: str) -> Mapping[str, Cursor]: ...

    def advance(self, source: str, cursors: Iterable[Cursor], found: Iterable[MessageRef] = ()) -> None:
        """So far was looked; `found` is what is to be taken out of what is older, behind all that was found before."""
        ...

    def found(self, source: str) -> Sequence[MessageRef]:
        """What is to be taken out of what is older, in the order in which it was found."""
        ...

    def forget(self, refs: Iterable[MessageRef]) -> None:
        """These were found, and are not to be taken out any more: they were, or have gone."""
        ...

    def begin(self, source: str, rules: str) -> None:
        """From now on these rules hold: unless all cursors are by them, everything older is to be looked through
        once more, and what was found counts no longer. What is new stays new."""
        ...

    def noted(self, ref: MessageRef) -> bool:
        """Whether a note of this held message was sealed before."""
        ...

    def remember_note(self, ref: MessageRef) -> None: ...

    def intent(self, ref: MessageRef) -> Intent | None: ...

    def intend(self, ref: MessageRef, at: datetime) -> None:
        """A text is about to be passed on; a later intent replaces the earlier one."""
        ...

    def withdraw(self, ref: MessageRef) -> None:
        """It was certainly not passed on."""
        ...

    def relayed(self, ref: MessageRef, sid: str) -> None:
        """It was passed on as this; "" when it was gone before it could be."""
        ...

    def claimed(self, source: str) -> frozenset[str]:
        """The SIDs of everything known to have been passed on lately."""
        ...

    def beginning(self, now: datetime) -> bool:
        """Whether this is the first time that anything is learnt, so that dates of the past may be believed."""
        ...

    def meet(self, people: Iterable[tuple[str, datetime]]) -> None:
        """The owner has written to these comparable addresses, as of then; the first time known stays."""
        ...

    def familiar(self, before: datetime) -> Container[str]:
        """The comparable addresses that the owner had written to before then."""
        ...
