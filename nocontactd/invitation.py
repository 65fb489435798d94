"""Whoever invites is the author of an invitation, unless somebody else hands it on.

An ORGANIZER with the SENT-BY beside it counts (RFC 5545, 3.8.4.3), in a REPLY or COUNTER the
ATTENDEE (RFC 5546, 3.2.3 and 3.2.7), where the message comes from one of the two or from a
program. From anybody else it is a forward (docs/adr/0006-services.md).
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise

from nocontactd import headers
from nocontactd.address import comparable
from nocontactd.headers.words import readings
from nocontactd.mime import PART_OCTETS
from nocontactd.model import Author

FIELD = "calendar"
_MOST_CALENDARS = 16
_MOST_PEOPLE = 2000  # in one of them; an event has one organizer

_FOLD = re.compile(rb"\r?\n[ \t]")
_OBJECT = re.compile(r"^BEGIN:VCALENDAR\b", re.IGNORECASE | re.MULTILINE)
_METHOD = re.compile(r"^METHOD[^:\r\n]*:\s*(?:REPLY|COUNTER)\s*$", re.IGNORECASE | re.MULTILINE)
_PERSON = re.compile(
    r'^(ORGANIZER|ATTENDEE)(?=[;:])((?:"[^"\r\n]*"|[^":\r\n]++)*):([^\r\n]*)', re.IGNORECASE | re.MULTILINE
)
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^";:]*)')
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PROGRAM = re.compile(
    r"(?:no|donot|dont|never)reply|nichtantworten|nepasrepondre|noresponder"
    r"|calendars?|(?:auto)?notif(?:y|ier|ications?)|invit(?:es?|ations?)|scheduler"
)
"""A word in the local part that nobody but a program has: behind events@, bookings@ and appointments@ people work."""


def authors(header: bytes, senders: Iterable[Author], calendars: Iterable[bytes], *, service: bool) -> Iterator[Author]:
    """The authors of a message's calendar objects, none of what somebody hands on.

    `senders`: the authors in From and Sender. `service`: one of them is a catalogued calendar.
    """
    people = dict.fromkeys(chain.from_iterable(map(of_calendar, islice(calendars, _MOST_CALENDARS))))
    if not people:
        return
    known = {comparable(sender.address) for sender in senders}
    program = service or _is_program(header, known)
    for together in people:
        if program or not known.isdisjoint(comparable(each.address) for each in together):
            yield from together


def of_calendar(octets: bytes) -> Iterator[tuple[Author, ...]]:
    """Each organizer of a decoded calendar object, or attendee of a reply, with those who act for them."""
    octets = octets[:PART_OCTETS]
    if octets.startswith(_UTF_16):
        octets = octets.decode("utf-16", "replace").encode("utf-8", "replace")
    text = readings(_FOLD.sub(b"", octets))[0]  # folding may cut a character in two (RFC 5545, 3.1)
    for match in islice(_people(text), _MOST_PEOPLE):
        yield tuple(_together(match[2], match[3]))


def _people(text: str) -> Iterator[re.Match[str]]:
    for part in _OBJECT.split(text):
        wanted = "ATTENDEE" if _METHOD.search(part) else "ORGANIZER"
        yield from (match for match in _PERSON.finditer(part) if match[1].upper() == wanted)


def _together(parameters: str, value: str) -> Iterator[Author]:
    said = {name.upper(): text.strip('"') for name, text in _PARAMETER.findall(parameters)}
    spellings = (value, said.get("EMAIL", ""), said.get("SENT-BY", ""))
    for address in dict.fromkeys(address for spelling in spellings for address in headers.addresses(spelling)):
        yield Author(FIELD, address, said.get("CN", ""))


def _is_program(header: bytes, senders: set[str]) -> bool:
    """Whether a program sent it: then nobody hands it on."""
    if headers.field(header, "Auto-Submitted").lower().startswith("auto-"):  # RFC 3834, 5
        return True
    return not senders or any(_is_programs(sender.rpartition("@")[0]) for sender in senders)


def _is_programs(mailbox: str) -> bool:
    words = re.split(r"[^a-z]+", mailbox)
    return any(map(_PROGRAM.fullmatch, (*words, *map("".join, pairwise(words)), "".join(words))))
