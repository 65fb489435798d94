"""How long a message truly is, where its server announced another size: measured twice over, never believed.

Some servers estimate RFC822.SIZE (docs/adr/0019), and a message that was cut off looks the same at first. It
counts as whole only with an end of its own, and what is sealed is a second reading that equals the first.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from nocontactd import headers
from nocontactd.headers.fields import body
from nocontactd.mime import parameter
from nocontactd.sources.imap.session import RefusedError, Session
from nocontactd.sources.imap.structure import octets_of_one_part

PIECE = 1024 * 1024
_BOUNDARY = 200
"""Octets that a closing boundary may have; RFC 2046, 5.1.1 allows 70 and what stands around them."""


@dataclass(frozen=True, slots=True)
class Length:
    """The octets of a message, and their SHA-256 where they were counted because the announced size is wrong."""

    octets: int
    sha256: bytes = b""


def true_length(session: Session, uid: int, first: bytes, announced: int) -> Length:
    """By the announced size if that is right, else by reading it to its end. RefusedError: it may have been cut."""
    if _is_right(session, uid, first, announced):
        return Length(announced)
    digest, total = hashlib.sha256(), 0
    boundary = _closing_boundary(first)
    closed, before = False, b""
    for piece in _to_the_end(session, uid):
        digest.update(piece)
        total += len(piece)
        closed |= bool(boundary) and boundary in before + piece
        before = piece[-_BOUNDARY:]
    if not (closed or _has_an_end(session, uid, first, total)):
        raise RefusedError("it is not as long as the server announced")
    return Length(total, digest.digest())


def piece_at(session: Session, uid: int, offset: int) -> bytes | None:
    """What the server has of the message from this octet on, at most PIECE; None where it does not answer that."""
    for answer in session.fetch([uid], f"(UID BODY.PEEK[]<{offset}.{PIECE}>)"):
        if answer.offset == offset:
            return answer.octets or b""
    return None


def _is_right(session: Session, uid: int, first: bytes, announced: int) -> bool:
    """Whether the message ends where it was announced to. Of a large one its last octet is asked for, and one more."""
    if len(first) != PIECE or announced < PIECE:
        return len(first) == announced
    answers = session.fetch([uid], f"(UID BODY.PEEK[]<{announced - 1}.2>)")
    return any(answer.offset == announced - 1 and len(answer.octets or b"") == 1 for answer in answers)


def _to_the_end(session: Session, uid: int) -> Iterator[bytes]:
    """Each piece, until the server says that it has nothing beyond (RFC 9051, 6.4.5: an empty string)."""
    offset = 0
    while piece := piece_at(session, uid, offset):
        yield piece
        offset += len(piece)
    if piece is None:
        raise RefusedError("it is not as long as the server announced")


def _closing_boundary(first: bytes) -> bytes:
    """What stands at the end of a message with parts (RFC 2046, 5.1.1); b"" for one without."""
    content_type = headers.field(first, "Content-Type")
    if not content_type.lower().startswith("multipart/"):
        return b""
    boundary = parameter(content_type, "boundary")
    return f"\n--{boundary}--".encode()[:_BOUNDARY] if boundary else b""


def _has_an_end(session: Session, uid: int, first: bytes, total: int) -> bool:
    """Whether a message without parts is as long as its body structure has it."""
    header = len(first) - len(body(first))
    answers = session.fetch([uid], "(UID BODYSTRUCTURE)", lenient=True)
    return any(octets_of_one_part(answer.structure) == total - header for answer in answers)
