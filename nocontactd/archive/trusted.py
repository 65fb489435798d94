"""The state remembers for whom the archive is sealed. What names others, though its log says so, is not sealed to.

Whoever can write to the archive's disk can put another archive.json there, and a leaf behind the last
checkpoint, or sign it with a key of their own; what lies outside the archive they cannot.
"""

import hashlib
from datetime import datetime
from pathlib import Path

from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import Disk, flush_folder, refusals, write_new
from nocontactd.errors import DamagedError

HOLDERS = "holders"
"""The file beside the log's key: of each log and its holders that were ever trusted here a hash, one a line."""


def trust(log_key: Path, law: Charter, disk: Disk, moment: datetime) -> None:
    """These holders may be sealed to from now on; durable on return. SealError."""
    place = log_key.with_name(HOLDERS)
    with refusals(place.parent, "state"):
        lines = _lines(place)
        if _line(law) not in lines:
            draft = place.with_name(f"{HOLDERS}.new")
            write_new(disk, draft, "".join(f"{line}\n" for line in (*lines, _line(law))).encode(), moment)
            disk.rename(draft, place)
            flush_folder(disk, place.parent)


def check(log_key: Path, law: Charter, disk: Disk, moment: datetime) -> None:
    """These holders were trusted here; the first ones ever to be sealed to are. DamagedError: not. SealError."""
    place = log_key.with_name(HOLDERS)
    with refusals(place.parent, "state"):
        lines = _lines(place)
    if not lines:
        trust(log_key, law, disk, moment)
    elif _line(law) not in lines:
        raise DamagedError(
            "archive.json names other key holders than were sealed to until now; nothing was sealed or removed",
            f"was it made, or a holder replaced, on another machine? only then remove {place}; else it was altered",
        )


def _line(law: Charter) -> str:
    holders = "\n".join((law.owner, law.therapist, law.witness or "-"))
    return f"{law.origin} {hashlib.sha256(holders.encode()).hexdigest()}"


def _lines(place: Path) -> list[str]:
    try:
        return place.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return []
