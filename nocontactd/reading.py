"""What a message's octets say of who wrote it: the one way from octets to what a decision is made on.

A source reads the header first and fetches a part only where the reading wants one: the calendar
of an invitation, the text of a catalogued service's notice. Nothing here raises, whatever the octets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from nocontactd import headers, invitation
from nocontactd.model import Authentication, Author, Notice


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


@dataclass(frozen=True, slots=True)
class Reader:
    """How the messages of one source are read."""

    authserv_ids: tuple[str, ...] = ()
    """By which the owner's provider signs its Authentication-Results (RFC 8601, 2.5)."""

    def of_header(self, header: bytes) -> Reading:
        """By the header alone; `wants` says what is missing."""
        return Reading(headers.authors(header))

    def of_message(self, raw: bytes) -> Reading:
        """By a message's exact octets."""
        return Reading(headers.authors(raw) + invitation.authors(raw))

    def of_parts(self, header: bytes, calendars: Sequence[bytes], text: str) -> Reading:
        """By the header and what was wanted: decoded calendar objects, and the beginning of the text."""
        return Reading(headers.authors(header))

    def of_text(self, sender: object, body: object = None) -> Reading:
        """By the raw `from` (and `body`) of Twilio's message resource; no author where it is null or blank."""
        text = "" if sender is None else str(sender)
        return Reading((Author("from", text),) if text.strip() else ())
