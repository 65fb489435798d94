"""The plaintext of a record, as values and bytes. Pure; docs/ARCHIVE-FORMAT.md is its specification.

A record is written in one go, front to back, before its last octet is known: what is known
first stands first (meta.json), what is known last stands last (final.json).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from nocontactd.archive import ustar
from nocontactd.archive.examined import Overheard, as_list, as_parts
from nocontactd.authentication import proven
from nocontactd.model import Author, Channel, Disposition, Envelope, Kind, MessageRef, Part, Verdict
from nocontactd.ports import Examiner
from nocontactd.signatures import Examined

FORMAT = "nocontactd-record/1"
META = "meta.json"
FINAL = "final.json"
AUTH = "auth.json"
"""What the owner's own provider and DKIM said of the sender at arrival."""
DNS = "dns/"
"""The raw DNS answers that DKIM was verified with, one file each."""
FLOOR = 10_240
"""The least length of a record's tar: tar's own record of 20 blocks. Every SMS is this long."""

MESSAGE = "message"
NOTE = "note"
COVERAGE = "coverage"
OPENING = "opening"
LOOSENING = "loosening"
KEYS = "keys"
COVER = "cover"
KINDS = (MESSAGE, NOTE, COVERAGE, OPENING, LOOSENING, KEYS, COVER)


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a record."""

    name: str
    size: int
    """Octets."""
    sha256: str
    """Hex."""


@dataclass(frozen=True, slots=True)
class Meta:
    """meta.json: what was known before the body."""

    record: str
    """`DAY/NNNNNN`."""
    kind: str
    """One of KINDS."""
    sealed: datetime
    """UTC."""
    daemon: str
    """Version of the program that sealed it."""
    salt: str
    """32 random bytes in hex, of this record alone."""
    envelope: Envelope | None
    """Source, folder, UIDVALIDITY, UID or SID, channel, authors, arrival; None where there is no message."""
    verdict: Verdict | None
    facts: tuple[tuple[str, str], ...]


def write_meta(meta: Meta) -> bytes:
    """meta.json. ASCII: what was read leniently from a header may hold lone surrogates, which UTF-8 cannot."""
    fields: dict[str, Any] = {
        "format": FORMAT,
        "record": meta.record,
        "kind": meta.kind,
        "sealed": _time(meta.sealed),
        "daemon": meta.daemon,
        "salt": meta.salt,
    }
    if meta.envelope:
        fields |= _envelope_fields(meta.envelope)
    if meta.verdict:
        fields |= {
            "disposition": meta.verdict.disposition,
            "reason": meta.verdict.reason,
            "rule": meta.verdict.rule,
            "field": meta.verdict.field,
        }
    return _json(fields | {"facts": meta.facts})


def read_meta(data: bytes) -> Meta:
    """The opposite; members it does not know are passed over. ValueError: it is not meta.json."""
    try:
        fields = json.loads(data)
        if fields["format"] != FORMAT:
            raise ValueError("a format this version does not know")
        return Meta(
            str(fields["record"]),
            str(fields["kind"]),
            datetime.fromisoformat(fields["sealed"]),
            str(fields["daemon"]),
            str(fields["salt"]),
            _envelope(fields) if "source" in fields else None,
            _verdict(fields) if "disposition" in fields else None,
            tuple((str(name), str(value)) for name, value in fields["facts"]),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError("meta.json is not as the format says") from None


def write_auth(envelope: Envelope, verdict: Verdict, examined: Examined | None = None) -> bytes:
    """auth.json of a record about mail."""
    said = envelope.authentication
    found: dict[str, Any] = {
        "results": said.results if said else None,
        "domains": said.domains if said else (),
        "authenticated": proven(envelope, verdict),
    }
    return _json(found | ({"dkim": as_list(examined)} if examined else {}))


def read_auth(data: bytes) -> bool | None:
    """Its `authenticated`; None also where there is no auth.json. ValueError: it is not as the format says."""
    if not data:
        return None
    try:
        said = json.loads(data)["authenticated"]
    except (KeyError, TypeError, ValueError):
        said = ""
    if said is None or isinstance(said, bool):
        return said
    raise ValueError("auth.json is not as the format says")


def write_final(members: Iterable[Member]) -> bytes:
    """final.json: what was known only after the last octet."""
    members = tuple(members)
    listed = [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in members]
    return _json({"members": listed, "content": content_hash(members)})


def read_final(data: bytes) -> tuple[Member, ...]:
    """The members that stood before it. ValueError: it is not final.json, or contradicts itself."""
    try:
        fields = json.loads(data)
        members = tuple(Member(str(m["name"]), int(m["size"]), str(m["sha256"])) for m in fields["members"])
        agreed = fields["content"] == content_hash(members)
    except (KeyError, TypeError, ValueError):
        agreed = False
    if not agreed:
        raise ValueError("final.json is not as the format says")
    return members


def content_hash(members: Iterable[Member]) -> str:
    """SHA-256 (hex) of what `sha256sum` prints for these files: `sha256sum meta.json message.eml | sha256sum`."""
    lines = "".join(f"{member.sha256}  {member.name}\n" for member in members)
    return hashlib.sha256(lines.encode()).hexdigest()


def is_original(member: Member) -> bool:
    """Whether this is a piece of the message itself, and nothing that was written about it."""
    return member.name not in (META, AUTH, FINAL) and not member.name.startswith(DNS)


def commitment(salt: str, content: str) -> str:
    """The third field of a record's leaf: HMAC-SHA256 (hex) under the salt, of the content hash in hex."""
    return hmac.new(bytes.fromhex(salt), content.encode(), "sha256").hexdigest()


def padme(length: int) -> int:
    """The least Padmé length (Nikitin et al., PETS 2019) that takes `length` octets, and at least FLOOR.

    It tells O(log log n) bits of the true length and costs at most 12 %, less as messages grow.
    """
    if length <= FLOOR:
        return FLOOR
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Plaintext:
    """The octets of one record, made while they are read; afterwards its commitment is known.

    ValueError while it is read: a part's name cannot stand in a record, or its size is not the
    announced one. What its chunks raise goes through as it is.
    """

    def __init__(
        self,
        meta: Meta,
        parts: Iterable[Part],
        sha256: Callable[[], Hash] = hashlib.sha256,
        examiner: Examiner | None = None,
    ) -> None:
        """`examiner` is asked about a mail, when its octets have gone by."""
        self._meta = meta
        self._moment = int(meta.sealed.timestamp())
        self._overheard = Overheard(examiner)
        self._parts = parts
        self._sha256 = sha256
        self._members: list[Member] = []

    @property
    def commitment(self) -> str:
        """For the leaf; only once all of it was read."""
        return commitment(self._meta.salt, content_hash(self._members))

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for piece in self._tar():
            length += len(piece)
            yield piece
        yield from _zeros(padme(length) - length)

    def _tar(self) -> Iterator[bytes]:
        yield self._written(META, write_meta(self._meta))
        for part in self._parts:
            if part.name in {member.name for member in self._members} | {AUTH, FINAL}:
                raise ValueError("a part has the name of another")
            yield from self._file(self._overheard.part(part))
        yield from self._auth()
        final = write_final(self._members)
        yield ustar.file(FINAL, final, self._moment) + ustar.END

    def _auth(self) -> Iterator[bytes]:
        envelope, verdict = self._meta.envelope, self._meta.verdict
        if not (envelope and verdict and envelope.channel is Channel.MAIL):
            return
        examined = self._overheard.examined(envelope.arrived, self._meta.sealed)
        yield self._written(AUTH, write_auth(envelope, verdict, examined))
        for answer in as_parts(examined) if examined else ():
            yield from self._file(answer)

    def _written(self, name: str, octets: bytes) -> bytes:
        """A file about the message: short, and at hand."""
        self._members.append(Member(name, len(octets), hashlib.sha256(octets).hexdigest()))
        return ustar.file(name, octets, self._moment)

    def _file(self, part: Part) -> Iterator[bytes]:
        yield ustar.header(part.name, part.size, self._moment)
        digest, size = self._sha256(), 0
        for chunk in part.chunks:
            digest.update(chunk)
            size += len(chunk)
            if size > part.size:
                break
            yield chunk
        if size != part.size:
            raise ValueError("a part is not as long as was announced")
        yield ustar.padding(size)
        self._members.append(Member(part.name, size, digest.hexdigest()))


def _zeros(length: int) -> Iterator[bytes]:
    block = bytes(min(length, 1 << 20))
    while length > 0:
        yield block[:length]
        length -= len(block)


def _envelope_fields(envelope: Envelope) -> dict[str, Any]:
    return {
        "source": envelope.ref.source,
        "folder": envelope.ref.folder,
        "uidvalidity": envelope.ref.uidvalidity,
        "uid": envelope.ref.uid,
        "channel": envelope.channel,
        "arrived": _time(envelope.arrived),
        "size": envelope.size,
        "arrival": envelope.arrival,
        "authors": [_author_fields(author) for author in envelope.authors],
    }


def _author_fields(author: Author) -> dict[str, Any]:
    kind = {} if author.kind is Kind.ADDRESS else {"kind": author.kind}
    return {"field": author.field, "address": author.address, "name": author.name} | kind


def _author(fields: Mapping[str, Any]) -> Author:
    kind = Kind(fields.get("kind", Kind.ADDRESS))
    return Author(str(fields["field"]), str(fields["address"]), str(fields["name"]), kind)


def _envelope(fields: Mapping[str, Any]) -> Envelope:
    return Envelope(
        MessageRef(str(fields["source"]), str(fields["folder"]), int(fields["uidvalidity"]), str(fields["uid"])),
        Channel(fields["channel"]),
        tuple(_author(author) for author in fields["authors"]),
        datetime.fromisoformat(fields["arrived"]),
        int(fields["size"]),
        bool(fields["arrival"]),
    )


def _verdict(fields: Mapping[str, Any]) -> Verdict:
    rule, field = fields["rule"], fields["field"]
    return Verdict(
        Disposition(fields["disposition"]),
        str(fields["reason"]),
        None if rule is None else str(rule),
        None if field is None else str(field),
    )


_WORDS = {None: "null", False: "false", True: "true"}
_encoded = json.JSONEncoder(check_circular=False).encode


def _encode(value: Any) -> str:
    """For all but strings and lists json makes an encoder each time."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    return str(value) if type(value) is int else _encoded(value)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _json(fields: Mapping[str, Any]) -> bytes:
    """One member a line, for whoever reads it in an editor; `indent=` would take json's slow way."""
    lines = ",\n".join([f' "{name}": {_encode(value)}' for name, value in fields.items()])
    return f"{{\n{lines}\n}}\n".encode("ascii")
