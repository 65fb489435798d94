"""The exact octets of one message, or an error: never those of another, and never fewer.

UID, size and the first octets come from one answer. What the scan saw at this UID is compared, for
a server may serve an invented message for one that has gone. Large ones come in pieces: the
memory of a 200 MiB message fetched whole is 633 MiB.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from nocontactd.errors import SourceError
from nocontactd.headers import message_id
from nocontactd.headers.fields import body
from nocontactd.model import MessageRef, Original, Part
from nocontactd.reading import Reader, Reading
from nocontactd.sources.imap.contents import Contents
from nocontactd.sources.imap.fetch_answers import Answer
from nocontactd.sources.imap.length import PIECE, Length, piece_at, true_length
from nocontactd.sources.imap.look import author_fields, envelope
from nocontactd.sources.imap.seen import Seen
from nocontactd.sources.imap.session import LostError, RefusedError, Session
from nocontactd.sources.imap.together import Together, first_piece, is_whole


def open_original(session: Session, ref: MessageRef, seen: Seen, reader: Reader, together: Together) -> Original | None:
    """The message at this place; None when it is not there any more. SourceError also from its parts."""
    with _unfetched(ref):
        if session.reading(ref.folder).uidvalidity != ref.uidvalidity:
            return None
        answer = together.answer(session, ref, seen) or _first(session, int(ref.uid))
        if answer is None:
            return None
        first, announced = answer.octets or b"", answer.size or 0
        where = (ref.folder, ref.uidvalidity, int(ref.uid))
        if seen.differs(*where, announced, message_id(first)):
            raise RefusedError("it is not the message that was looked at")
        length = true_length(session, int(ref.uid), first, announced)
        if length.sha256 and not seen.recognises(*where, message_id(first)):
            raise RefusedError("it is not the message that was looked at")
        reading = _read(session, int(ref.uid), first, length.octets, reader)
    part = Part("message.eml", length.octets, _pieces(session, ref, first, length))
    return Original(envelope(ref, answer, reading, arrival=True), iter([part]), _facts(session, answer))


def _read(session: Session, uid: int, first: bytes, size: int, reader: Reader) -> Reading:
    """The reading of the very octets. What lies beyond the first piece is asked for once more, at the same UID."""
    reading = reader.of_message(first)
    if len(first) == size:
        return reading
    header = first[: len(first) - len(body(first))]
    if len(header) >= PIECE:  # it has no end there
        header = author_fields(session, uid, reader) + header
    whole = Contents(reader).read(session, {uid: header})[uid]
    return replace(whole, authors=tuple(dict.fromkeys((*whole.authors, *reading.authors))))


def _first(session: Session, uid: int) -> Answer | None:
    """The answer with size and first piece in one; None only when the message has certainly gone."""
    for answer in session.fetch([uid], first_piece(session)):
        if is_whole(answer):
            return answer
    if session.standing([uid]):
        raise RefusedError("the server lists it, but does not give it")
    return None


def _pieces(session: Session, ref: MessageRef, first: bytes, length: Length) -> Iterator[bytes]:
    """The octets, until there are no more; SourceError unless they are as many as they should be, or those counted."""
    piece, total, digest = first, 0, hashlib.sha256()
    while piece:
        total += len(piece)
        if length.sha256:
            digest.update(piece)
        yield piece
        if total > length.octets or (total == length.octets and len(piece) < PIECE):
            break
        with _unfetched(ref):
            session.stay(ref.folder, ref.uidvalidity)
            piece = piece_at(session, int(ref.uid), total) or b""
    with _unfetched(ref):
        if total != length.octets:
            raise RefusedError("it is not as long as the server announced")
        if length.sha256 and digest.digest() != length.sha256:
            raise RefusedError("it was not the same when it was read again")


def _facts(session: Session, answer: Answer) -> tuple[tuple[str, str], ...]:
    facts = (
        ("greeting", session.greeting),
        ("tls_certificate_sha256", session.certificate),
        ("internaldate", answer.internaldate),
        ("rfc822_size", str(answer.size)),
        ("x_gm_msgid", answer.gmail_id),
    )
    return tuple((name, value) for name, value in facts if value)


@contextmanager
def _unfetched(ref: MessageRef) -> Iterator[None]:
    try:
        yield
    except (LostError, RefusedError) as error:
        raise SourceError(f"{ref.source}: a message was not fetched and not sealed: {error.message}") from None
