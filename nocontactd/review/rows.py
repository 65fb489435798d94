"""Opened records to rows, one a message. Second copies are folded; what is no message is never shown as one.

A copy comes of a death between sealing and removing. Mail is the same by the hash of its octets,
a text by its SID, whose resource changes while the words do not.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nocontactd.archive.format import MESSAGE, NOTE
from nocontactd.errors import DamagedError
from nocontactd.headers import field
from nocontactd.model import Channel, Envelope
from nocontactd.review.body import Body, body

if TYPE_CHECKING:  # values come in; the opening half itself is not needed here
    from nocontactd.archive.unseal import Opened


@dataclass(frozen=True, slots=True)
class Row:
    """One message, or a note of one that was let pass. Texts are as the sender wrote them: not yet visible()."""

    record: str
    """`DAY/NNNNNN`."""
    note: bool
    """True: held and let pass; only who, when and why was sealed."""
    received: datetime
    """UTC."""
    channel: Channel
    source: str
    sender: str
    subject: str
    """"" for texts and notes."""
    sha256: str
    """Of the original octets, hex; "" for a note."""
    reason: str
    rule: str | None
    field: str | None
    original: bytes
    """Its beginning, at most what was kept in memory; b"" for a note."""
    parts: tuple[str, ...]
    """Names of what was sealed with it, the message itself first."""
    authenticated: bool | None = None
    """Whether the sender is proven; False: do not attribute; None: nobody looked."""


def rows(records: "Iterable[Opened | DamagedError]") -> Iterator[Row | DamagedError]:
    """Each message once, and each note, in the order of the records; a damaged record comes as its error.

    A record that was never acknowledged stands back for an acknowledged copy of the same message.
    """
    shown: set[str] = set()
    orphans: list[tuple[str, Row]] = []
    for item in records:
        if isinstance(item, DamagedError):
            yield item
            continue
        row = _row(item)
        if row is None:
            continue
        same = _identity(item)
        if not item.logged:
            orphans.append((same, row))
        elif same not in shown:
            shown.add(same)
            yield row
    for same, row in orphans:
        if same not in shown:
            shown.add(same)
            yield row


def as_json(row: Row) -> str:
    """The row as one line of JSON, ASCII: every character that acts on a screen is an escape there."""
    return json.dumps(
        {
            "record": row.record,
            "received": timestamp(row.received),
            "channel": row.channel.value,
            "sender": row.sender,
            "subject": row.subject,
            "sha256": row.sha256,
            "reason": row.reason,
            "rule": row.rule,
            "authenticated": row.authenticated,
        }
    )


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def words(row: Row) -> Body:
    """What the message says, as far as its beginning was kept."""
    if row.channel is Channel.MAIL:
        return body(row.original)
    return Body(_member(row.original, "body"), tuple(row.parts[1:]))


def _row(item: "Opened") -> Row | None:
    envelope, verdict = item.meta.envelope, item.meta.verdict
    if item.kind not in (MESSAGE, NOTE) or envelope is None or verdict is None:
        return None
    mail = envelope.channel is Channel.MAIL and item.kind == MESSAGE
    return Row(
        record=item.record,
        note=item.kind == NOTE,
        received=envelope.arrived,
        channel=envelope.channel,
        source=envelope.ref.source,
        sender=(field(item.original, "From") if mail else "") or _author(envelope),
        subject=field(item.original, "Subject") if mail else "",
        sha256=item.sha256,
        reason=verdict.reason,
        rule=verdict.rule,
        field=verdict.field,
        original=item.original,
        parts=tuple(member.name for member in item.members),
        authenticated=item.authenticated,
    )


def _author(envelope: Envelope) -> str:
    """Who was seen first, where there is no From to show."""
    for author in envelope.authors:
        if author.address or author.name:
            both = author.name and author.address
            return f"{author.name} <{author.address}>" if both else author.address or author.name
    return ""


def _identity(item: "Opened") -> str:
    """Two records of one identity are copies of one message."""
    envelope = item.meta.envelope
    if item.kind == NOTE or envelope is None or not item.sha256:
        return f"record {item.record}"
    if envelope.channel is Channel.MAIL:
        return f"octets {item.sha256}"
    return f"sid {envelope.ref.uid}"


def _member(resource: bytes, name: str) -> str:
    """A field of Twilio's resource; "" where it cannot be read."""
    try:
        value = json.loads(resource)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
