"""A mailbox in memory that keeps the promises of ports.Source, and nothing else. It outlives a death.

Drive it: `put` a message, `vanish` one, `renew` a folder's UIDVALIDITY; set `trash` and removing
goes through it, as at Gmail; a ref in `cut` breaks off in the middle of its octets; a folder in
`broken` cannot be looked through; `down` is raised by every call until it is None again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from nocontactd.errors import SourceError
from nocontactd.headers import addresses
from nocontactd.headers import field as header_field
from nocontactd.model import (
    Channel,
    Cursor,
    Envelope,
    Look,
    MessageRef,
    Original,
    Part,
    PutBack,
    Receipt,
    Removal,
    Stretch,
    Written,
)
from nocontactd.ports import Concerns
from nocontactd.reading import Reader
from nocontactd.sieve import MARK

ARRIVED = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Letter:
    """One message: everything about it that nobody else may change."""

    octets: bytes
    flags: frozenset[str] = frozenset()
    arrived: datetime = ARRIVED


@dataclass
class MemoryFolder:
    """One folder; a UID is never used twice under one UIDVALIDITY."""

    uidvalidity: int
    next_uid: int = 1
    letters: dict[int, Letter] = field(default_factory=dict)


class MemorySource:
    """ports.Source over dictionaries."""

    def __init__(self, name: str = "memory", folders: Sequence[str] = ("INBOX",), trash: str | None = None) -> None:
        self.name = name
        self.trash = trash
        self.filed = "nocontact"
        """The folder of our rule on the server, if there is one."""
        self.sent = "Sent"
        """The folder of the owner's own messages, if there is one; it is never scanned."""
        self.folders = {folder: MemoryFolder(1000 + n) for n, folder in enumerate([*folders, *filter(None, [trash])])}
        self.cut: set[MessageRef] = set()
        self.broken: set[str] = set()
        self.down: Exception | None = None
        self.stretch = 5

    def put(
        self, octets: bytes, folder: str = "INBOX", *, flags: Sequence[str] = (), arrived: datetime = ARRIVED
    ) -> MessageRef:
        """A message is delivered."""
        place = self.folders[folder]
        place.letters[place.next_uid] = Letter(octets, frozenset(flags), arrived)
        place.next_uid += 1
        return MessageRef(self.name, folder, place.uidvalidity, str(place.next_uid - 1))

    def vanish(self, ref: MessageRef) -> None:
        """Another client has removed it."""
        del self.folders[ref.folder].letters[int(ref.uid)]

    def renew(self, folder: str) -> None:
        """The server numbers a folder anew."""
        place = self.folders[folder]
        letters = list(place.letters.values())
        self.folders[folder] = MemoryFolder(place.uidvalidity + 1)
        for letter in letters:
            self.put(letter.octets, folder, flags=tuple(letter.flags), arrived=letter.arrived)

    def everything(self) -> dict[tuple[str, int, int], Letter]:
        """The whole mailbox, to be compared before and after."""
        return {
            (folder, place.uidvalidity, uid): letter
            for folder, place in self.folders.items()
            for uid, letter in place.letters.items()
        }

    def scan(self, cursors: Mapping[str, Cursor], rules: str) -> Iterator[Envelope | Look]:
        """See ports.Source."""
        self._up()
        for folder, place in [(name, place) for name, place in self.folders.items() if name != self.sent]:
            if folder in self.broken:
                yield Look(folder, 0, 0, 0, "it is broken")
                continue
            cursor = cursors.get(folder)
            known = cursor.next_uid if cursor and cursor.uidvalidity == place.uidvalidity else place.next_uid
            look = Look(folder, place.uidvalidity, place.next_uid, len(place.letters))
            for uid in [uid for uid in place.letters if uid >= known]:
                filed = folder == self.filed and MARK in place.letters[uid].flags
                envelope = _envelope(MessageRef(self.name, folder, place.uidvalidity, str(uid)), place.letters[uid])
                yield replace(envelope, filed=filed)
            yield look

    def older(self, cursor: Cursor, concerns: Concerns) -> Iterator[Stretch]:
        """See ports.Source."""
        self._up()
        place = self.folders[cursor.folder]
        if cursor.folder in self.broken:
            raise SourceError(f"{self.name}: a folder was not looked through: it is broken")
        uids = sorted((uid for uid in place.letters if uid < cursor.lower), reverse=True)
        for at in range(0, max(len(uids), 1), self.stretch):
            part = uids[at : at + self.stretch]
            refs = [MessageRef(self.name, cursor.folder, place.uidvalidity, str(uid)) for uid in part]
            seen = (replace(_envelope(ref, place.letters[int(ref.uid)]), arrival=False) for ref in refs)
            left = max(0, len(uids) - at - self.stretch)
            concerning = tuple(each for each in seen if concerns(each.authors))
            yield Stretch(concerning, part[-1] if left else 0, len(part), left)

    def envelopes(self, refs: Sequence[MessageRef]) -> Iterator[Envelope]:
        """See ports.Source."""
        self._up()
        for ref in refs:
            if ref.folder in self.broken:
                raise SourceError(f"{self.name}: a folder was not looked through: it is broken")
            if letter := self._letter(ref):
                yield replace(_envelope(ref, letter), arrival=False)

    def written(self, cursors: Mapping[str, Cursor]) -> Iterator[Written | Look]:
        """See ports.Source."""
        self._up()
        place = self.folders.get(self.sent)
        if place is None:
            return
        if self.sent in self.broken:
            yield Look(self.sent, 0, 0, 0, "it is broken")
            return
        cursor = cursors.get(self.sent)
        known = cursor.next_uid if cursor and cursor.uidvalidity == place.uidvalidity else 1
        for letter in [letter for uid, letter in place.letters.items() if uid >= known]:
            to = (address for name in ("To", "Cc", "Bcc") for address in addresses(header_field(letter.octets, name)))
            yield Written(tuple(to), letter.arrived)
        yield Look(self.sent, place.uidvalidity, place.next_uid, len(place.letters))

    def expect(self, _refs: Sequence[MessageRef]) -> None:
        """See ports.Source."""

    def fetch(self, ref: MessageRef) -> Original | None:
        """See ports.Source."""
        self._up()
        letter = self._letter(ref)
        if letter is None:
            return None
        part = Part("message.eml", len(letter.octets), self._chunks(ref, letter.octets))
        return Original(_envelope(ref, letter), iter([part]), (("greeting", "in memory"),))

    def remove(self, receipts: Sequence[Receipt]) -> Removal:
        """See ports.Source."""
        self._up()
        gone, moved = [], []
        for receipt in receipts:
            letter = self._letter(receipt.ref)
            if letter is not None:
                self.vanish(receipt.ref)
            if letter is not None and self.trash and receipt.ref.folder != self.trash:
                place = self.put(letter.octets, self.trash, flags=tuple(letter.flags), arrived=letter.arrived)
                moved.append(Receipt(receipt.record, place))
            else:
                gone.append(receipt)
        return Removal(tuple(gone), tuple(moved))

    def put_back(self, steps: Sequence[PutBack]) -> frozenset[MessageRef]:
        """See ports.Source."""
        self._up()
        if self.filed in self.broken:
            raise SourceError(f"{self.name}: what was filed by mistake was not put back: it is broken")
        refs = [step.envelope.ref for step in steps]
        for ref in refs:
            letter = self._letter(ref)
            if letter is not None and MARK in letter.flags:
                self.vanish(ref)
                self.put(letter.octets, flags=tuple(letter.flags - {MARK}), arrived=letter.arrived)
        return frozenset(ref for ref in refs if self._letter(ref) is None)

    def close(self) -> None:
        """See ports.Source."""

    def _letter(self, ref: MessageRef) -> Letter | None:
        place = self.folders.get(ref.folder)
        return place.letters.get(int(ref.uid)) if place and place.uidvalidity == ref.uidvalidity else None

    def _chunks(self, ref: MessageRef, octets: bytes) -> Iterator[bytes]:
        half = len(octets) // 2
        yield octets[:half]
        if ref in self.cut:
            raise SourceError(f"{self.name}: a message was not fetched and not sealed: the connection was lost")
        yield octets[half:]

    def _up(self) -> None:
        if self.down:
            raise self.down


def _envelope(ref: MessageRef, letter: Letter) -> Envelope:
    read = Reader().of_message(letter.octets)
    size = len(letter.octets)
    return Envelope(
        ref, Channel.MAIL, read.authors, letter.arrived, size, authentication=read.authentication, notice=read.notice
    )
