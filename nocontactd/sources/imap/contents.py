"""What is read of a body: the calendar of an invitation, the beginning of a notice's text, never anything else.

Only where the header makes a reading want it, only the parts that the body structure shows,
always by PEEK, and nothing of it is kept.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from nocontactd.mime import PART_OCTETS, decoded, is_calendar, legible
from nocontactd.reading import Reader, Reading, Want
from nocontactd.sources.imap.session import Session, chunks
from nocontactd.sources.imap.structure import Section, sections

STRUCTURES = 100
"""Messages whose structure is asked for in one command: those who wrote them decide how long the answer is."""
MOST_CALENDARS = 8
"""Calendar parts of one message; an invitation has one or two, of the same event."""
BEGINNING = 32 * 1024
"""Octets of a part that are asked for at first: 3 MiB at worst for the messages of one command."""
LONG = {Want.CALENDAR: 3 * PART_OCTETS, Want.TEXT: 256 * 1024}
"""Octets of a part that are read at most, as they are encoded."""
_CALENDAR = (b"calendar", b"ics", b"%", b"=?", rb"\\")
"""What the structure of a message with a calendar holds in any case: its type, or a file name, which may be encoded."""
_PATIENCE = 3
"""Looks that may fail over what is to be read of one message until it is judged without: in company, then alone."""


@dataclass(slots=True)
class _Parts:
    """What was read of one message."""

    calendars: list[bytes] = field(default_factory=list)
    text: str = ""
    cut: bool = False
    """There is more of a part than was asked for."""


class Contents:
    """Completes readings. It remembers over which messages a look failed, and nothing else."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._failed: Counter[tuple[str, int, int]] = Counter()
        """By folder, UIDVALIDITY and UID."""

    def read(self, session: Session, headers: Mapping[int, bytes]) -> dict[int, Reading]:
        """The reading of each message of the open folder, by UID, with the parts that it wants.

        SourceErrors of the session.
        """
        readings = {uid: self.reader.of_header(header) for uid, header in headers.items()}
        wanted = {uid: reading.wants for uid, reading in readings.items() if reading.wants}
        for uids in self._groups(session, sorted(wanted)):
            beginnings = _parts(session, {uid: wanted[uid] for uid in uids}, whole=False)
            for uid, parts in beginnings.items():
                if parts.cut:  # one at a time: each may be a thousand times as long as another
                    parts = _parts(session, {uid: wanted[uid]}, whole=True).get(uid, parts)
                readings[uid] = self.reader.of_parts(headers[uid], parts.calendars, parts.text)
        return readings

    def holding_calendars(self, session: Session, uids: Sequence[int]) -> list[int]:
        """Which of these messages of the open folder have a calendar part. SourceErrors of the session."""
        found: list[int] = []
        groups = self._groups(session, uids)
        for answers in session.fetch_each(groups, "(UID BODYSTRUCTURE)", holding=_CALENDAR):
            for answer in answers:
                parts = sections(answer.structure)
                if answer.uid is not None and any(is_calendar(part.kind, part.name) for part in parts):
                    found.append(answer.uid)
        return found

    def _groups(self, session: Session, uids: Sequence[int]) -> Iterator[Sequence[int]]:
        """Pieces to be asked for together. One whose structure ends connections holds up the others no longer."""
        where = (session.selected.folder, session.selected.uidvalidity) if session.selected else ("", 0)
        failed = {uid: self._failed[*where, uid] for uid in uids}
        alone = ([uid] for uid in uids if 0 < failed[uid] < _PATIENCE)
        for group in (*chunks([uid for uid in uids if not failed[uid]], STRUCTURES), *alone):
            self._failed.update((*where, uid) for uid in group)
            yield group
            for uid in group:
                del self._failed[*where, uid]


def _parts(session: Session, wanted: Mapping[int, frozenset[Want]], *, whole: bool) -> dict[int, _Parts]:
    """Calendars and text of those that have any: their beginnings, or as much as is ever read."""
    texts = any(Want.TEXT in wants for wants in wanted.values())
    structures = session.fetch_each([list(wanted)], "(UID BODYSTRUCTURE)", holding=() if texts else _CALENDAR)
    chosen = {
        answer.uid: tuple(_chosen(sections(answer.structure), wanted[answer.uid]))
        for answers in structures
        for answer in answers
        if answer.uid is not None
    }
    found: dict[int, _Parts] = {}
    for (number, want), uids in _together(chosen).items():
        most = LONG[want] if whole else BEGINNING
        for answer in session.fetch(uids, f"(UID BODY.PEEK[{number}]<0.{most}>)"):
            if answer.uid is None or not answer.octets:
                continue
            section = next(section for _, section in chosen[answer.uid] if section.number == number)
            part = decoded(answer.octets, section.encoding, section.charset)
            parts = found.setdefault(answer.uid, _Parts())
            parts.cut |= len(answer.octets) >= most
            if want is Want.CALENDAR:
                parts.calendars.append(part)
            else:
                parts.text = legible(section.kind, part)
    return found


def _chosen(parts: Sequence[Section], wants: frozenset[Want]) -> Iterator[tuple[Want, Section]]:
    """The parts that are wanted: calendars, and what a mail client would show as the text."""
    if Want.CALENDAR in wants:
        calendars = (part for part in parts if is_calendar(part.kind, part.name))
        yield from ((Want.CALENDAR, part) for part in islice(calendars, MOST_CALENDARS))
    if Want.TEXT in wants:
        shown = [part for part in parts if part.kind in {"text/plain", "text/html"} and not part.attached]
        yield from ((Want.TEXT, part) for part in sorted(shown, key=lambda part: part.kind != "text/plain")[:1])


def _together(chosen: Mapping[int, Iterable[tuple[Want, Section]]]) -> dict[tuple[str, Want], list[int]]:
    """Whose part of this number is wanted, and what for, so that one command asks for many."""
    groups: dict[tuple[str, Want], list[int]] = {}
    for uid, parts in chosen.items():
        for want, section in parts:
            groups.setdefault((section.number, want), []).append(uid)
    return groups
