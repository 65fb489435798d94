"""Days that a therapist elsewhere released, kept in the state for as long as they count; still locked for the owner."""

from datetime import datetime
from pathlib import Path

from nocontactd import state
from nocontactd.archive.release import LASTS, Accepted, Release, parse_accepted
from nocontactd.errors import CredentialError

_FILE = "released.json"


def keep(directory: Path, release: Release, now: datetime) -> datetime:
    """Keep it in place of an earlier one; until when. SealError."""
    until = now + LASTS
    state.write(directory / _FILE, Accepted(release, until).dump())
    return until


def kept(directory: Path, origin: str, now: datetime) -> Release:
    """What is kept. CredentialError: nothing, or its time is over. DamagedError."""
    text = state.read(directory / _FILE)
    if text is None:
        raise CredentialError(
            "no released days are kept here; nothing was opened",
            "ask a therapist elsewhere: `nocontact keys request`; or open it together, without --released",
        )
    try:
        return parse_accepted(text).usable(origin, now)
    except CredentialError:
        (directory / _FILE).unlink(missing_ok=True)
        raise
