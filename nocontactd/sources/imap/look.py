"""One look through one folder: headers only, unmarked, in bounded chunks.

What is new is judged by its whole header; in a large backlog the author fields are enough (a
quarter of the time), except where they look odd: a server may have altered or missed some.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone

from nocontactd.headers import authors, message_id
from nocontactd.model import Channel, Cursor, Envelope, Look, MessageRef
from nocontactd.sources.imap.fetch_answers import Answer
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import Selected, Session, chunks

BACKLOG = 2_000
"""More older messages than this in a folder, and their author fields are read instead of the whole header."""
HEADER = 32 * 1024
"""Octets of a header that are asked for at first: 16 MiB at worst for the messages of one command."""
LONG_HEADER = 1024 * 1024
"""Octets of a header that are read at most, besides its author fields wherever they stand."""

_FIELDS = """
    From Sender Reply-To Return-Path Resent-From Resent-Sender Resent-Reply-To Author Message-ID
    Original-From Original-Sender Original-Author Original-Reply-To Original-Mail-From Original-Return-Path
    X-Original-From X-Original-Sender X-Original-Author X-Original-Reply-To X-Original-Mail-From X-Original-MailFrom
    X-Original-Return-Path X-Orig-From X-Orig-Sender X-Orig-Reply-To X-Google-Original-From X-MailFrom Old-Return-Path
"""
AUTHOR_FIELDS = f"HEADER.FIELDS ({' '.join(_FIELDS.upper().split())})"
_ABOUT = "UID RFC822.SIZE INTERNALDATE"
_PLAIN = re.compile(rb"(?:[!-9;-~]+:[\t -~]*\r\n(?:[\t ][\t -~]*\r\n)*)+(?:\r\n)?")
_FROM = re.compile(rb"^from:.*@", re.IGNORECASE | re.MULTILINE)


def look_through(
    session: Session, source: str, folder: str, cursor: Cursor | None, rules: str, seen: Seen
) -> Iterator[Envelope | Look]:
    """The folder's messages that the cursor does not cover by these rules, then its Look."""
    now = session.examine(folder)
    known = cursor.next_uid if cursor and cursor.uidvalidity == now.uidvalidity else None
    first = known if known and cursor and cursor.rules == rules else 1
    uids = []
    if now.exists and (now.uidnext is None or now.uidnext > first):
        # `n:*` holds the last message even when that is older than n (RFC 9051, 9: seq-range)
        uids = [uid for uid in session.search("UID", f"{first}:*") if uid >= first]
    older = [uid for uid in uids if known is None or uid < known]
    for part, whole in ((older, len(older) <= BACKLOG), (uids[len(older) :], True)):
        for answer, header in _headers(session, now, part, whole=whole):
            ref = MessageRef(source, folder, now.uidvalidity, str(answer.uid))
            size = answer.size or 0
            seen.note(folder, now.uidvalidity, int(ref.uid), size, message_id(header))
            yield envelope(ref, answer, header, arrival=part is not older)
    # One that came since the folder was opened may have been seen already, and a server may give no UIDNEXT.
    next_uid = max(now.uidnext or first, uids[-1] + 1 if uids else 0)
    yield Look(folder, now.uidvalidity, next_uid, now.exists)


def envelope(ref: MessageRef, answer: Answer, header: bytes, *, arrival: bool) -> Envelope:
    """What may be known of a message before a decision."""
    return Envelope(ref, Channel.MAIL, authors(header), arrived(answer.internaldate), answer.size or 0, arrival=arrival)


def author_fields(session: Session, uid: int) -> bytes:
    """The author fields of one message, wherever they stand in its header, to be put before what is known of it."""
    answers = session.fetch([uid], f"(UID BODY.PEEK[{AUTHOR_FIELDS}]<0.{LONG_HEADER}>)")
    fields = b"".join(answer.octets or b"" for answer in answers)
    return fields.rstrip(b"\r\n") + b"\r\n" if fields.strip() else b""


def _headers(session: Session, where: Selected, uids: Sequence[int], *, whole: bool) -> Iterator[tuple[Answer, bytes]]:
    """Each message that is still there, by ascending UID, with what is to be judged of its header."""
    for part in chunks(uids):
        session.stay(where.folder, where.uidvalidity)
        answers = _ask(session, part, "HEADER" if whole else AUTHOR_FIELDS)
        if not whole:
            odd = [uid for uid, answer in answers.items() if not _looks_plain(answer.octets or b"")]
            answers |= _ask(session, odd, "HEADER") if odd else {}
        for uid in sorted(answers):
            header = answers[uid].octets or b""
            if len(header) >= HEADER:
                session.stay(where.folder, where.uidvalidity)
                header = _long_header(session, uid) or header
            yield answers[uid], header


def _ask(session: Session, uids: Sequence[int], section: str) -> dict[int, Answer]:
    answers = session.fetch(uids, f"({_ABOUT} BODY.PEEK[{section}]<0.{HEADER}>)")
    return {answer.uid: answer for answer in answers if answer.uid is not None and answer.size is not None}


def _long_header(session: Session, uid: int) -> bytes:
    answers = session.fetch([uid], f"(UID BODY.PEEK[HEADER]<0.{LONG_HEADER}>)")
    header = b"".join(answer.octets or b"" for answer in answers)
    return header if len(header) < LONG_HEADER else author_fields(session, uid) + header


def _looks_plain(fields: bytes) -> bool:
    """Whether nothing in them can have been altered or missed by the server: printable ASCII with a From."""
    return bool(_PLAIN.fullmatch(fields) and _FROM.search(fields))


_DATE = re.compile(r" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


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
