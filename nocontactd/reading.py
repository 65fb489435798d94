"""What a message's octets say of who wrote it: the one way from octets to what a decision is made on.

A source reads the header first and fetches a part only where the reading wants one: the calendar
of an invitation, the text of a catalogued service's notice. Nothing here raises, whatever the octets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from nocontactd import authentication, headers, invitation, mime
from nocontactd.address import parents
from nocontactd.headers.fields import body
from nocontactd.model import Authentication, Author, Kind, Notice
from nocontactd.services import CALENDAR, NO_SERVICES, Catalogue, Service


class Want(StrEnum):
    """A part without which a reading is not whole."""

    CALENDAR = "calendar"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one message."""

    authors: tuple[Author, ...]
    authentication: Authentication | None = None
    notice: Notice | None = None
    wants: frozenset[Want] = frozenset()
    """Parts that may name another author, to be looked at where the body structure shows one."""
    doubts: tuple[str, ...] = ()
    """What could not be known, a sentence each; nothing of what the message says."""


_NOTHING: frozenset[Want] = frozenset()
_ONLY_CALENDAR = frozenset({Want.CALENDAR})
_FIELDS = ("Subject", "Content-Type", "Content-Disposition", "Auto-Submitted")
_UNPROVEN = "it is taken for a notice of {}, by its header alone: nobody known has authenticated the sender"


@dataclass(frozen=True, slots=True)
class Reader:
    """How the messages of one source are read."""

    authserv_ids: tuple[str, ...] = ()
    """By which the owner's provider signs its Authentication-Results (RFC 8601, 2.5)."""
    catalogue: Catalogue = NO_SERVICES
    offline: bool = False
    """The whole message is at hand already: a notice's text is read, whoever vouches for its sender."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The header fields that are read besides those of authors, for a source that does not read all."""
        vouching = ("Authentication-Results",) if self.authserv_ids else ()
        named = (field for service in self.catalogue.senders.values() for field in service.fields)
        return tuple(dict.fromkeys((*_FIELDS, *vouching, *named)))

    def of_header(self, header: bytes) -> Reading:
        """By the header alone; `wants` says what is missing."""
        authors = headers.authors(header)
        wants = _ONLY_CALENDAR if may_hold_calendar(header) else _NOTHING
        proof = authentication.of(header, self.authserv_ids, authors)
        if (known := self.catalogue.sender(authors)) is None:
            return Reading(authors, proof, wants=wants)
        service, host = known
        if proof and not any(each in proof.domains for each in parents(host)):
            return Reading(authors, proof, wants=wants)  # somebody else, in the service's name
        return self._of_notice(Reading(authors, proof, wants=wants), service, header)

    def of_parts(self, header: bytes, calendars: Sequence[bytes], text: str) -> Reading:
        """By the header and what was wanted: decoded calendar objects, and the beginning of the text."""
        return self._whole(self.of_header(header), header, calendars, text)

    def _whole(self, reading: Reading, header: bytes, calendars: Sequence[bytes], text: str) -> Reading:
        known = self.catalogue.sender(reading.authors)
        service = known[0] if known else None
        senders = [each for each in reading.authors if each.field in {"From", "Sender"} and each.kind is Kind.ADDRESS]
        calendar = service is not None and service.kind == CALENDAR
        found = dict.fromkeys(reading.authors)
        found |= dict.fromkeys(invitation.authors(header, senders, calendars, service=calendar))
        if service and Want.TEXT in reading.wants:
            found |= dict.fromkeys(service.people_in_text(text))
        return replace(reading, authors=tuple(found), wants=_NOTHING)

    def of_message(self, raw: bytes) -> Reading:
        """By a message's exact octets; the same as by its header and by what that wants."""
        header = raw[: len(raw) - len(body(raw))]
        reading = self.of_header(header)
        if not reading.wants:
            return reading
        calendars = mime.calendars(raw) if Want.CALENDAR in reading.wants else ()
        return self._whole(reading, header, calendars, mime.text(raw) if Want.TEXT in reading.wants else "")

    def of_text(self, sender: object, body: object = None) -> Reading:
        """By the raw `from` (and `body`) of Twilio's message resource; no author where it is null or blank."""
        number, said = ("" if each is None else str(each) for each in (sender, body))
        if not number.strip():
            return Reading(())
        authors = (Author("from", number), *self.catalogue.in_text(number.strip(), said))
        return Reading(tuple(dict.fromkeys(authors)))

    def _of_notice(self, reading: Reading, service: Service, header: bytes) -> Reading:
        notice = service.notice(header, reading.authors)
        if {self._is_of(service, each) for each in reading.authors if each.field == "From"} != {True}:
            notice = replace(notice, must_pass=False)  # not the service alone, whatever Sender says
        proven = reading.authentication is not None
        doubts = () if proven else (_UNPROVEN.format(service.name),)
        if notice.must_pass:
            return replace(reading, notice=notice, doubts=doubts)
        authors = dict.fromkeys((*reading.authors, *service.people_in_header(header, reading.authors)))
        text = service.names_in_text and (proven or self.offline)
        wants = reading.wants | {Want.TEXT} if text else reading.wants
        return replace(reading, authors=tuple(authors), notice=notice, wants=wants, doubts=doubts)

    def _is_of(self, service: Service, author: Author) -> bool:
        known = self.catalogue.sender((author,))
        return known is not None and known[0] is service


def may_hold_calendar(header: bytes) -> bool:
    """Whether a message may carry one, as its Content-Type or Content-Disposition has it; too often rather than not.

    To look each of them up would take longer than all else that is done with an ordinary header.
    """
    if b"multipart" in header:  # as nearly all write it, of those who write it at all
        return True
    lower = header.lower()
    return b"multipart" in lower or b"calendar" in lower or b"ics" in lower
