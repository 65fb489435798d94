"""One look through one folder: headers only, unmarked, in bounded chunks.

A message is judged by its whole header: of single fields a server may alter or miss some.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

from nocontactd.headers import message_id
from nocontactd.model import Channel, Cursor, Envelope, Look, MessageRef
from nocontactd.reading import Reader, Reading
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.fetch_answers import Answer
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import Ahead, Selected, Session, chunks

HEADER = 32 * 1024
"""Octets of a header that are asked for at first: 16 MiB at worst for the messages of one command."""
AHEAD = 50
"""New messages whose headers are asked for in the flight that opens their folder."""
LONG_HEADER = 1024 * 1024
"""Octets of a header that are read at most, besides its author fields wherever they stand."""

_FIELDS = """
    From Sender Reply-To Return-Path Resent-From Resent-Sender Resent-Reply-To Mail-Reply-To Author Message-ID
    X-Sender X-MailFrom Envelope-From Envelope-Sender X-Envelope-From X-Envelope-Sender
    Original-Mail-From X-Original-Mail-From X-Original-MailFrom X-Original-Envelope-From X-Google-Original-From
"""
_MOVED = [
    f"{x}{was}-{who}"
    for x in ("", "X-")
    for was in ("Original", "Orig", "Old", "Real")
    for who in ("From", "Sender", "Author", "Reply-To", "Return-Path")
]
"""Where list software puts the author when it writes itself into From, with what is in front seen in the wild.

The core reads more such names than can be asked for in a line of a command.
"""
AUTHOR_FIELDS = tuple(map(str.upper, (*_FIELDS.split(), *_MOVED)))
_ABOUT = "UID RFC822.SIZE INTERNALDATE"
_PLAIN = re.compile(rb"(?:[!-9;-~]+:[\t -~]*\r\n(?:[\t ][\t -~]*\r\n)*)+(?:\r\n)?")
_FROM = re.compile(rb"^from:.*@", re.IGNORECASE | re.MULTILINE)


def look_through(
    session: Session,
    source: str,
    folder: str,
    cursor: Cursor | None,
    seen: Seen,
    contents: Contents,
    *,
    thorough: bool = False,
    all_new: bool = False,
    since: datetime | None = None,
) -> Iterator[Envelope | Look]:
    """What came to a folder since the cursor, then its Look; of a folder that was not known, what has arrived `since`.

    `thorough`: whatever the server says of its next UID. `all_new`: everything in it came since, by its nature.
    """
    now = session.examine(folder, headers_from(cursor.next_uid) if cursor else None)
    known = cursor.next_uid if cursor and cursor.uidvalidity == now.uidvalidity else 1 if all_new else None
    first = known or now.uidnext or 1
    uids = uids_from(session, now, first, thorough=thorough)
    if known:
        yield from envelopes_of(session, source, now, uids, contents, seen, arrival=True)
    elif since and now.exists:
        found = session.search("SINCE", _day(since - timedelta(days=1)))  # a day of the server's own (RFC 9051, 6.4.4)
        envelopes = envelopes_of(session, source, now, found, contents, seen, arrival=True)
        yield from (each for each in envelopes if each.arrived >= since)
    # One that came since the folder was opened may have been seen already, and a server may give no UIDNEXT.
    next_uid = max(now.uidnext or first, uids[-1] + 1 if uids else 0)
    yield Look(folder, now.uidvalidity, next_uid, now.exists)


def envelopes_of(
    session: Session,
    source: str,
    where: Selected,
    uids: Sequence[int],
    contents: Contents,
    seen: Seen,
    *,
    arrival: bool,
) -> Iterator[Envelope]:
    """Those of these messages that are still there, by ascending UID, judged by their whole headers."""
    for answer, header, reading in _messages(session, where, uids, contents):
        ref = MessageRef(source, where.folder, where.uidvalidity, str(answer.uid))
        seen.note(where.folder, where.uidvalidity, int(ref.uid), answer.size or 0, message_id(header))
        yield envelope(ref, answer, reading, arrival=arrival)


def uids_from(session: Session, now: Selected, first: int, *, thorough: bool = False) -> list[int]:
    """The UIDs from this one on that the open folder may hold, ascending."""
    if not now.exists or (not thorough and now.uidnext is not None and now.uidnext <= first):
        return []
    if not thorough and now.uidnext is not None and now.uidnext - first <= AHEAD:
        return list(range(first, now.uidnext))
    # `n:*` holds the last message even when that is older than n (RFC 9051, 9: seq-range)
    return [uid for uid in session.search("UID", f"{first}:*") if uid >= first]


def headers_from(next_uid: int) -> Ahead:
    """What is asked of new messages first. What is new is usually little."""
    return Ahead(next_uid, next_uid + AHEAD - 1, _items("HEADER"))


def envelope(ref: MessageRef, answer: Answer, reading: Reading, *, arrival: bool) -> Envelope:
    """What may be known of a message before a decision."""
    return Envelope(
        ref,
        Channel.MAIL,
        reading.authors,
        arrived(answer.internaldate),
        answer.size or 0,
        arrival=arrival,
        authentication=reading.authentication,
        notice=reading.notice,
    )


def author_fields(session: Session, uid: int, reader: Reader) -> bytes:
    """The fields of one message that matter, wherever they stand in its header, to go before what is known of it."""
    answers = session.fetch([uid], f"(UID BODY.PEEK[{fields(reader)}]<0.{LONG_HEADER}>)")
    known = b"".join(answer.octets or b"" for answer in answers)
    return known.rstrip(b"\r\n") + b"\r\n" if known.strip() else b""


def fields(reader: Reader) -> str:
    """The section of a header that holds its authors, and what else the reader needs."""
    return f"HEADER.FIELDS ({' '.join(dict.fromkeys((*AUTHOR_FIELDS, *map(str.upper, reader.fields))))})"


def _messages(
    session: Session, where: Selected, uids: Sequence[int], contents: Contents
) -> Iterator[tuple[Answer, bytes, Reading]]:
    """Each message that is still there, by ascending UID, with its header and the reading of it."""
    for part in chunks(uids):
        session.stay(where.folder, where.uidvalidity)
        answers = ask(session, part, "HEADER")
        headers = {uid: answer.octets or b"" for uid, answer in answers.items()}
        readings = contents.read(session, {uid: head for uid, head in headers.items() if len(head) < HEADER})
        for uid in sorted(answers):
            header, reading = headers.pop(uid), readings.pop(uid, None)
            if reading is None:  # one at a time: each may be a thousand times as long as another
                session.stay(where.folder, where.uidvalidity)
                header = _long_header(session, uid, contents.reader) or header
                reading = contents.read(session, {uid: header})[uid]
            yield answers[uid], header, reading


def ask(session: Session, uids: Sequence[int], section: str) -> dict[int, Answer]:
    """The answers for this section of a header, as far as it is bounded, with size and date; by UID."""
    answers = session.fetch(uids, _items(section))
    return {answer.uid: answer for answer in answers if answer.uid is not None and answer.size is not None}


def _items(section: str) -> str:
    return f"({_ABOUT} BODY.PEEK[{section}]<0.{HEADER}>)"


def _long_header(session: Session, uid: int, reader: Reader) -> bytes:
    answers = session.fetch([uid], f"(UID BODY.PEEK[HEADER]<0.{LONG_HEADER}>)")
    header = b"".join(answer.octets or b"" for answer in answers)
    return header if len(header) < LONG_HEADER else author_fields(session, uid, reader) + header


def looks_plain(known: bytes) -> bool:
    """Whether nothing in them can have been altered or missed by the server: printable ASCII with a From."""
    return bool(_PLAIN.fullmatch(known) and _FROM.search(known))


_DATE = re.compile(r" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _day(moment: datetime) -> str:
    return f"{moment.day}-{_MONTHS[moment.month - 1].title()}-{moment.year}"


def arrived(internaldate: str) -> datetime:
    """INTERNALDATE (RFC 9051, date-time) in UTC; the epoch where it cannot be read."""
    match = _DATE.fullmatch(internaldate)
    try:
        if match and match[2].lower() in _MONTHS:
            offset = timedelta(hours=int(match[8]), minutes=int(match[9])) * (1 if match[7] == "+" else -1)
            day, year, hour, minute, second = (int(match[n]) for n in (1, 3, 4, 5, 6))
            month = _MONTHS.index(match[2].lower()) + 1
            return datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return datetime.fromtimestamp(0, UTC)
