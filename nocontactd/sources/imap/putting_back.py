"""How what our own rule filed by mistake goes back to the inbox: those UIDs, and nothing else that stands there.

A rule on a server acts at delivery and never on a move, so what was put back is not filed again. Its
mark goes last: without it a message is none of ours, wherever somebody else moves it afterwards. A
death in between leaves it in the inbox, marked, or, on a server without MOVE, in both places. What
somebody has marked \\Deleted there is left alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nocontactd.model import Envelope, Look, MessageRef
from nocontactd.sieve import MARK
from nocontactd.sources.imap.session import RefusedError, Session, chunks

INBOX = "INBOX"


def with_marks(session: Session, looked: Iterator[Envelope | Look]) -> Iterator[Envelope | Look]:
    """The same of the rule's folder, telling of each message whether the rule has filed it."""
    marked: frozenset[int] | None = None
    for item in looked:
        if isinstance(item, Look):
            yield item
            continue
        if marked is None:
            session.stay(item.ref.folder, item.ref.uidvalidity)
            marked = _filed(session)
        yield replace(item, filed=int(item.ref.uid) in marked)


def put_back(session: Session, refs: Sequence[MessageRef]) -> frozenset[MessageRef]:
    """Move these out of the rule's folder; which of them are gone from it. SourceErrors of the session."""
    now = session.select(refs[0].folder)
    marked = _filed(session)  # asked again: somebody else may have taken one of them, or its mark
    ours = {int(ref.uid): ref for ref in refs if ref.uidvalidity == now.uidvalidity and int(ref.uid) in marked}
    for part in chunks(sorted(ours)):
        _move(session, part)
    left = ours.keys() - session.standing(ours)
    session.leave()
    _take_off_marks(session)
    return frozenset(ours[uid] for uid in left)


def _move(session: Session, uids: Sequence[int]) -> None:
    if "MOVE" in session.capabilities:
        session.move(uids, INBOX)
    elif "UIDPLUS" in session.capabilities:
        session.copy(uids, INBOX)
        session.unmark(uids, MARK)  # from here on it is never copied again
        session.remove(uids)
    else:
        raise RefusedError("the server can neither move nor expunge single messages")


def _take_off_marks(session: Session) -> None:
    """In the inbox nothing is marked as filed, be it from now or from a look that ended too soon."""
    session.select(INBOX)
    for part in chunks(session.search("KEYWORD", MARK)):
        session.unmark(part, MARK)
    session.leave()


def _filed(session: Session) -> frozenset[int]:
    return frozenset(session.search("KEYWORD", MARK, "UNDELETED"))
