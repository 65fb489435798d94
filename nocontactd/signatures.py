"""DKIM signatures (RFC 6376) of a message: what their fields say, and what was found of them. Pure values.

Only the topmost few are looked at, and a name that is asked for in the DNS is made here, of letters,
digits, hyphens and underscores alone: nothing else of what a sender wrote reaches a resolver.
"""

import re
from dataclasses import dataclass

HEADER_OCTETS = 256 * 1024
"""A longer header is not looked at."""
BODY_OCTETS = 1024 * 1024
"""Of a longer body nothing is said."""
FIELD_OCTETS = 16 * 1024
MOST = 8
"""Signatures of one message."""
MOST_FIELDS = 2000
"""Of a header: finding the signed ones takes the product of this and the next."""
MOST_SIGNED = 200
"""Names under h=."""

PASS, FAIL, PERMERROR, TEMPERROR = "pass", "fail", "permerror", "temperror"
"""Results as in RFC 8601, 2.7.1."""
WHOLE, PART, UNCHECKED = "whole", "part", "unchecked"
"""What of the body is signed and was compared: all of it, the beginning (l=), nothing."""

NO_ANSWER, TIME = "no-answer", "time"
"""Why a signature could not be checked: the DNS did not say in time, or it took more than a message is worth."""

_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"^dkim-signature[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*)", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Signature:
    """What one DKIM-Signature field says of itself."""

    domain: str
    """d=, lower case."""
    selector: str
    """s=, lower case."""
    identity: str
    """i=, as it stands there; "" where it says nothing."""
    algorithm: str
    """a=, lower case."""

    @property
    def key(self) -> str:
        """The name in the DNS at which its public key stands, without the last dot."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one signature."""

    signature: Signature
    result: str
    """PASS, FAIL, PERMERROR or TEMPERROR."""
    body: str
    """WHOLE, PART or UNCHECKED."""
    why: str
    """A word of docs/ARCHIVE-FORMAT.md, 4; "" where it passed."""
    answer: str | None = None
    """The file of `Examined.answers` with the DNS answer it was checked with; None: there was none."""


@dataclass(frozen=True, slots=True)
class Examined:
    """All that was found of one message."""

    found: tuple[Finding, ...]
    answers: tuple[tuple[str, bytes], ...]
    """Each DNS answer, octet for octet as it came from the resolver, under the name of its file."""


def header(octets: bytes) -> bytes | None:
    """The header with the empty line behind it; None where it is longer than is looked at."""
    end = _END.search(octets, 0, HEADER_OCTETS)
    return octets[: end.end()] if end else None


def signatures(octets: bytes) -> tuple[Signature, ...]:
    """The signatures of a message or its header that can be read; at most MOST fields are looked at."""
    found = []
    for number, field in enumerate(_FIELD.finditer(header(octets) or b"")):
        if number == MOST:
            break
        found.append(signature(field[1]))
    return tuple(filter(None, found))


def signature(field: bytes) -> Signature | None:
    """What the value of one field says; None where it is malformed, or too long."""
    said = tags(field)
    if not said:
        return None
    domain, selector, algorithm, identity = (said.get(tag, b"").decode("ascii", "replace") for tag in "dsai")
    found = Signature(domain.lower(), selector.lower(), identity[:320], algorithm.lower()[:64])
    named = _NAME.fullmatch(found.domain) and _NAME.fullmatch(found.key)
    return found if named else None


def tags(field: bytes) -> dict[str, bytes]:
    """A tag=value list (RFC 6376, 3.2); nothing where it is malformed, names a tag twice, or is too long."""
    found: dict[str, bytes] = {}
    if len(field) > FIELD_OCTETS:
        return {}
    for item in field.strip().removesuffix(b";").split(b";"):
        name, equals, value = item.partition(b"=")
        tag = name.strip().decode("ascii", "replace")
        if not equals or not tag or tag in found:
            return {}
        found[tag] = value.strip()
    return found
