"""How messages leave a folder, by what the server can do. Nobody else's \\Deleted is ever expunged.

UIDPLUS: marked and expunged by their UIDs. Gmail, where an expunge may only take a label off, and
servers that can MOVE but have no UIDPLUS: moved to the Trash, to be removed from there. Servers
with neither: marked, and expunged only when nothing of anybody else's is marked at that moment.
"OK" proves nothing (it is the answer for a UID that is gone, too): the server is asked again.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from nocontactd.sources.imap.session import Session, chunks

LINE = 7_500
"""Octets of UIDs in one command: servers take lines of 8,000 (RFC 7162, 4)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the UIDs of one folder; those in neither are still there."""

    gone: frozenset[int]
    moved: Mapping[int, tuple[int, int]]
    """Of each its UIDVALIDITY and UID in the Trash."""
    problem: str = ""


def goes_through_trash(capabilities: Set[str]) -> bool:
    """Whether removing means moving to the Trash first, so that the Trash must be looked at as well."""
    return "X-GM-EXT-1" in capabilities or ("MOVE" in capabilities and "UIDPLUS" not in capabilities)


def take_out(session: Session, folder: str, uids: Sequence[int], trash: str | None) -> Taken:
    """Remove these from the folder, which is open for removing, and ask again. SourceErrors of the session."""
    moved: dict[int, tuple[int, int]] = {}
    problem = ""
    singly = False
    if trash not in (None, folder) and goes_through_trash(session.capabilities):
        for part in chunks(uids):
            moved |= session.move(part, str(trash))
    elif "UIDPLUS" in session.capabilities:
        singly = True
        _expunge(session, uids)
    else:
        problem = _expunge_if_alone(session, uids)
    left = session.standing(uids)
    if left and singly:  # the server may have come to the expunging before the marks: see Session.remove
        _expunge(session, sorted(left))
        left = session.standing(left)
    if left and not problem:
        problem = "the server kept what it was asked to remove"
    gone = frozenset(uids) - left
    return Taken(gone - moved.keys(), {uid: place for uid, place in moved.items() if uid in gone}, problem)


def _expunge(session: Session, uids: Sequence[int]) -> None:
    for part in lines(uids):
        session.remove(part)


def lines(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    """As many as fit into a command: an EXPUNGE takes some servers as long for one as for a thousand."""
    part: list[int] = []
    octets = 0
    for uid in uids:
        octets += len(str(uid)) + 1
        if octets > LINE:
            yield part
            part, octets = [], len(str(uid)) + 1
        part.append(uid)
    if part:
        yield part


def _expunge_if_alone(session: Session, uids: Sequence[int]) -> str:
    """Mark, then expunge the whole folder if only these are marked; else say why not.

    Another client can still mark something between the last two commands; IMAP without UIDPLUS
    has nothing that closes this gap, so it is kept to one round trip.
    """
    for part in chunks(uids):
        session.mark_deleted(part)
    if not set(session.search("DELETED")) <= set(uids):
        return (
            "another program has marked messages as deleted there, and the server can only expunge all that are"
            " marked: the sealed ones were marked, but not expunged"
        )
    session.expunge_all_marked()
    return ""
