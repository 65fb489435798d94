"""Opened records to rows, one a message. Second copies are folded; what is no message is never shown as one.

A copy comes of a death between sealing and removing. Mail is the same by the hash of its octets,
a text by its SID, whose resource changes while the words do not.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nocontactd.archive.format import MESSAGE, NOTE
from nocontactd.errors import DamagedError
from nocontactd.headers import field
from nocontactd.model import Channel, Envelope
from nocontactd.review.body import Body, body

if TYPE_CHECKING:  # values come in; the opening half itself is not needed here
    from nocontactd.archive.unseal import Opened

PREVIEW = 160
"""Characters of the words that a row keeps."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message, or a note of one that was let pass. Texts are as the sender wrote them: not yet visible()."""

    record: str
    """`DAY/NNNNNN`."""
    note: bool
    """True: held and let pass; only who, when and why was sealed."""
    logged: bool
    """False: it was never acknowledged; another copy of the message usually is there."""
    received: datetime
    """UTC."""
    channel: Channel
    source: str
    uid: str
    """The SID of a text."""
    address: str
    """Of the author who was seen first: no display name, which is the sender's to write."""
    size: int
    """Octets of the original (of message.json for a text); 0 for a note."""
    sha256: str
    """Of the original octets, hex; "" for a note."""
    reason: str
    rule: str | None
    field: str | None
    authenticated: bool | None
    """Whether the sender is proven; False: do not attribute; None: nobody looked."""
    sender: str
    subject: str
    """"" for texts and notes."""
    preview: str
    """How its words begin, in one line."""

    @property
    def same(self) -> str:
        """Two rows of which this is equal are copies of one message."""
        if self.note or not self.sha256:
            return f"record {self.record}"
        return f"octets {self.sha256}" if self.channel is Channel.MAIL else f"sid {self.uid}"


def row(item: "Opened") -> Row | None:
    """What is shown of an opened record; None: it is no message and no note of one."""
    envelope, verdict = item.meta.envelope, item.meta.verdict
    if item.kind not in (MESSAGE, NOTE) or envelope is None or verdict is None:
        return None
    mail = envelope.channel is Channel.MAIL and item.kind == MESSAGE
    return Row(
        record=item.record,
        note=item.kind == NOTE,
        logged=item.logged,
        received=_utc(envelope.arrived),
        channel=envelope.channel,
        source=envelope.ref.source,
        uid=envelope.ref.uid,
        address=next((author.address for author in envelope.authors if author.address), ""),
        size=item.members[0].size if item.members else 0,
        sha256=item.sha256,
        reason=verdict.reason,
        rule=verdict.rule,
        field=verdict.field,
        authenticated=item.authenticated,
        sender=(field(item.original, "From") if mail else "") or _author(envelope),
        subject=field(item.original, "Subject") if mail else "",
        preview=" ".join(words(item).text[: 8 * PREVIEW].split())[:PREVIEW],
    )


def folded(found: Iterable[Row | DamagedError]) -> Iterator[Row | DamagedError]:
    """Each message once, and each note, in the order of the records; a damaged record comes as its error.

    A record that was never acknowledged stands back for an acknowledged copy of the same message.
    """
    shown: set[str] = set()
    orphans: list[Row] = []
    for item in found:
        if isinstance(item, DamagedError):
            yield item
        elif not item.logged:
            orphans.append(item)
        elif item.same not in shown:
            shown.add(item.same)
            yield item
    for orphan in orphans:
        if orphan.same not in shown:
            shown.add(orphan.same)
            yield orphan


def dump(row: Row, room: int) -> tuple[str, str]:
    """A row as two lines for the index: what is neutral, and what the sender wrote; its preview cut to that room.

    `room`: octets of the second line; what cannot be cut may be longer.
    """
    neutral = [
        *(row.note, row.logged, row.received.isoformat(), row.channel, row.source, row.uid, row.address),
        *(row.size, row.sha256, row.reason, row.rule, row.field, row.authenticated),
    ]
    preview = row.preview
    while True:
        words = _line([row.sender, row.subject, preview])
        over = len(words.encode("utf-8", "surrogatepass")) - room
        if over <= 0 or not preview:
            return _line(neutral), words
        preview = preview[: -max(1, over // 6)]


def load(record: str, neutral: str, words: str) -> Row:
    """The opposite."""
    facts, (sender, subject, preview) = json.loads(f"[{neutral},{words}]")
    note, logged, received, channel, source, uid, address, size, sha256, reason, rule, where, proven = facts
    return Row(
        *(record, note, logged, datetime.fromisoformat(received), Channel(channel), source, uid, address),
        *(size, sha256, reason, rule, where, proven, sender, subject, preview),
    )


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


def words(item: "Opened") -> Body:
    """What the message says, as far as its beginning was kept."""
    envelope = item.meta.envelope
    if envelope is None or envelope.channel is Channel.MAIL:
        return body(item.original)
    return Body(_member(item.original, "body"), tuple(member.name for member in item.members[1:]))


def _line(values: list[Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _utc(moment: datetime) -> datetime:
    """The year 1 and the year 9999 have hours that no other zone has a name for."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def _author(envelope: Envelope) -> str:
    """Who was seen first, where there is no From to show."""
    for author in envelope.authors:
        if author.address or author.name:
            both = author.name and author.address
            return f"{author.name} <{author.address}>" if both else author.address or author.name
    return ""


def _member(resource: bytes, name: str) -> str:
    """A field of Twilio's resource; "" where it cannot be read."""
    try:
        value = json.loads(resource)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
