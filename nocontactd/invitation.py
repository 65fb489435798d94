"""Whoever invites is the author of an invitation, unless somebody else hands it on.

An ORGANIZER with the SENT-BY beside it counts (RFC 5545, 3.8.4.3), in a REPLY or COUNTER the
ATTENDEE (RFC 5546, 3.2.3 and 3.2.7), where the message comes from one of the two or from a
calendar service. From anybody else it is a forward. What lies in an attached message is never
looked at.
"""

import binascii
import re
from collections.abc import Iterator
from itertools import islice, pairwise

from nocontactd import headers
from nocontactd.address import comparable
from nocontactd.headers.fields import body
from nocontactd.headers.words import readings
from nocontactd.model import Author

FIELD = "calendar"
CALENDAR_OCTETS = 1024 * 1024
"""No more is read of one calendar part."""
_DEEPEST = 8
_MOST_PARTS = 200
_MOST_PEOPLE = 2000  # in one part; an event has one organizer
_LONGEST = 2000  # characters of a field with parameters

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_ICS_NAME = re.compile(r"name\*?[0-9*]*=[^;]*\.ics\b", re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]")
_METHOD = re.compile(r"^METHOD[^:\r\n]*:\s*(?:REPLY|COUNTER)\s*$", re.IGNORECASE | re.MULTILINE)
_PERSON = re.compile(
    r'^(ORGANIZER|ATTENDEE)(?=[;:])((?:"[^"\r\n]*"|[^":\r\n])*+):([^\r\n]*)', re.IGNORECASE | re.MULTILINE
)
_PARAMETER = re.compile(r';(CN|EMAIL|SENT-BY)=("[^"]*"|[^";:]*)', re.IGNORECASE)
_SERVICE = re.compile(
    r"(?:no|donot|dont)reply|calendars?|notif(?:y|ications?)|invit(?:es?|ations?)|meetings?|events?"
    r"|schedul(?:er|ing|e)|bookings?|appointments?"
)
"""A word in the local part of an automatic sender; nobody's own name."""


def authors(raw: bytes) -> tuple[Author, ...]:
    """The authors of every invitation in a message; none for a message without one."""
    people = tuple(dict.fromkeys(people for part in _calendars(raw, _DEEPEST) for people in of_calendar(part)))
    if not people:
        return ()
    senders = {comparable(each.address) for each in headers.authors(raw) if each.field in {"From", "Sender"}}
    automatic = _automatic(raw, senders)
    found: dict[Author, None] = {}
    for together in people:
        if automatic or not senders.isdisjoint(comparable(each.address) for each in together):
            found |= dict.fromkeys(together)
    return tuple(found)


def of_calendar(octets: bytes) -> Iterator[tuple[Author, ...]]:
    """Each organizer of a calendar object, or attendee of a reply, with those who act for them."""
    text = _FOLD.sub("", readings(octets[:CALENDAR_OCTETS])[0])
    wanted = "ATTENDEE" if _METHOD.search(text) else "ORGANIZER"
    people = (match for match in _PERSON.finditer(text) if match[1].upper() == wanted)
    for match in islice(people, _MOST_PEOPLE):
        said = {name.upper(): value.strip('"') for name, value in _PARAMETER.findall(match[2])}
        spellings = (match[3], said.get("EMAIL", ""), said.get("SENT-BY", ""))
        found = dict.fromkeys(address for spelling in spellings for address in headers.addresses(spelling))
        yield tuple(Author(FIELD, address, said.get("CN", "")) for address in found)


def _automatic(raw: bytes, senders: set[str]) -> bool:
    """Whether a program sent it: then nobody hands it on."""
    if headers.field(raw, "Auto-Submitted").lower().startswith("auto-"):  # RFC 3834, 5
        return True
    return not senders or any(_is_service(sender.rpartition("@")[0]) for sender in senders)


def _is_service(mailbox: str) -> bool:
    words = re.split(r"[^a-z]+", mailbox)
    return any(map(_SERVICE.fullmatch, (*words, *map("".join, pairwise(words)), "".join(words))))


def _calendars(raw: bytes, depth: int) -> Iterator[bytes]:
    """The decoded octets of each calendar part of a MIME entity."""
    content_type = headers.field(raw, "Content-Type")[:_LONGEST]
    if content_type.lower().startswith("multipart/"):
        for part in _parts(raw, content_type) if depth else ():
            yield from _calendars(part, depth - 1)
    elif _is_calendar(raw, content_type):
        yield _decoded(body(raw), headers.field(raw, "Content-Transfer-Encoding").lower())


def _is_calendar(raw: bytes, content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in {"text/calendar", "application/ics"} or _ICS_NAME.search(content_type):
        return True
    return bool(_ICS_NAME.search(headers.field(raw, "Content-Disposition")[:_LONGEST]))


def _parts(raw: bytes, content_type: str) -> Iterator[bytes]:
    match = _BOUNDARY.search(content_type)
    if not match:
        return
    boundary = b"\n--" + (match[1] or match[2]).strip().encode("utf-8", "replace")
    for part in (b"\n" + body(raw)).split(boundary, _MOST_PARTS)[1:]:
        if part.startswith(b"--"):
            return
        entity = part.partition(b"\n")[2]
        if not entity.startswith((b"\n", b"\r\n")):  # no header: plain text (RFC 2045, 5.2)
            yield entity


def _decoded(octets: bytes, encoding: str) -> bytes:
    octets = octets[: 2 * CALENDAR_OCTETS]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    if encoding != "base64":
        return octets
    digits = re.sub(rb"[^A-Za-z0-9+/]+", b"", octets)
    return binascii.a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"=" * (-len(digits) % 4))
