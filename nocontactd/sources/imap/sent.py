"""To whom the owner has written: the addressees of one Sent folder, opened for reading only, three header fields each.

A folder is read from its cursor on, or anew after its UIDVALIDITY has changed.
"""

from collections.abc import Iterator

from nocontactd.headers import addresses
from nocontactd.headers.fields import first
from nocontactd.headers.words import readings
from nocontactd.model import Cursor, Look, Written
from nocontactd.sources.imap.look import HEADER, arrived, ask, uids_from
from nocontactd.sources.imap.session import Session, chunks

ADDRESSEES = ("To", "Cc", "Bcc")
ADDRESSEE_FIELDS = f"HEADER.FIELDS ({' '.join(ADDRESSEES).upper()})"


def written_in(session: Session, folder: str, cursor: Cursor | None) -> Iterator[Written | Look]:
    """The messages of this folder that the cursor does not cover, then its Look. SourceErrors of the session."""
    now = session.examine(folder)
    begin = cursor.next_uid if cursor and cursor.uidvalidity == now.uidvalidity else 1
    uids = uids_from(session, now, begin)
    for part in chunks(uids):
        session.stay(folder, now.uidvalidity)
        for answer in ask(session, part, ADDRESSEE_FIELDS).values():
            yield Written(_addressees(answer.octets or b""), arrived(answer.internaldate))
    yield Look(folder, now.uidvalidity, max(now.uidnext or begin, uids[-1] + 1 if uids else 0), now.exists)


def _addressees(fields: bytes) -> tuple[str, ...]:
    if len(fields) >= HEADER:  # the last one may be cut in two
        fields = fields.rpartition(b",")[0]
    found = (addresses(readings(first(fields, name))[0]) for name in ADDRESSEES)
    return tuple(dict.fromkeys(address for each in found for address in each))
