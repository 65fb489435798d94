"""Named files (archive.json, holders/...) as the log pins them, each in two copies.

A change is in the log before it is in force, and is finished or undone after a death in between.
The second copy of a named file lies in keys/copy/ under its last name.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import Disk, flush_folder, put, write_new
from nocontactd.archive.history import charters, reading
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import FILE, KEY, ORPHAN, Leaf
from nocontactd.archive.regular import octets
from nocontactd.errors import DamagedError, SealError

REPLACED = "holders:replaced"
"""Why archive.json changed: another therapist or witness. What belongs to it waits in incoming/ beside it."""


def places(archive: Path, name: str) -> tuple[Path, Path]:
    """Where both copies of a named file lie."""
    return archive / name, archive / "keys" / "copy" / Path(name).name


def law(archive: Path, leaves: Leaves) -> Charter:
    """The archive.json that the log vouches for, from whichever copy. Needs the turn.

    DamagedError: none is. Sealing to whom any other file names might be sealing for a stranger.
    SealError: one of them is not for this user to read.
    """
    pinned = leaves.last(charter.NAME)
    with reading(archive, SealError):
        for data in charters(archive):
            if pinned and hashlib.sha256(data).hexdigest() == pinned.first:
                return charter.parse(data)
    raise DamagedError(
        f"archive {archive}: archive.json is not the one that the log vouches for; nothing was sealed or removed",
        "run `nocontact verify`; put archive.json (or its copy in keys/copy/) back from a backup",
    )


def place(archive: Path, name: str, data: bytes, disk: Disk, moment: datetime) -> None:
    """Both copies of a named file are these octets. OSError."""
    for target in reversed(places(archive, name)):
        if _read(target) != data:
            put(disk, data, target, incoming=archive / "incoming", moment=moment)


def amend(archive: Path, leaves: Leaves, changed: Charter, why: str, disk: Disk, moment: datetime) -> None:
    """Put another archive.json in force. Needs the turn. OSError.

    Until both copies of it are in place a third one stands in incoming/, from where `mend` takes it.
    """
    data = changed.dump()
    draft = archive / "incoming" / charter.NAME
    write_new(disk, draft, data, moment)
    flush_folder(disk, draft.parent)
    leaves.append([Leaf(charter.NAME, hashlib.sha256(data).hexdigest(), why)], moment)
    place(archive, charter.NAME, data, disk, moment)
    disk.remove(draft)


def mend(archive: Path, leaves: Leaves, disk: Disk, moment: datetime) -> None:
    """Where one copy is what the log says, both are. Needs the turn. OSError."""
    _go_on(archive, leaves, moment)
    for leaf in list(leaves.files()):
        for data in _candidates(archive, leaf.subject):
            if leaf.first != ORPHAN and hashlib.sha256(data).hexdigest() == leaf.first:
                place(archive, leaf.subject, data, disk, moment)
                break


def _go_on(archive: Path, leaves: Leaves, moment: datetime) -> None:
    """Log what a change of holders that has begun did not come to log: all that waits in incoming/ with its law.

    It was durable there before the law's leaf, so it is whole.
    """
    incoming = archive / "incoming"
    law = leaves.last(charter.NAME)
    if not law or law.second != REPLACED or _sha256(_read(incoming / charter.NAME)) != law.first:
        return
    waiting = {subject: path for path in incoming.iterdir() if (subject := _subject(path.name, leaves))}
    found = []
    for subject, path in waiting.items():
        known, sha256 = leaves.last(subject), _sha256(_read(path))
        if sha256 and sha256 != (known.first if known else ""):
            found.append(Leaf(subject, sha256, known.second if known else ORPHAN))
    if found:
        leaves.append(found, moment)


def _subject(draft: str, leaves: Leaves) -> str:
    """Of what a file in incoming/ is the next version: a key that is known, a holder; "" for anything else."""
    key = "key/" + draft.removesuffix(".new").removesuffix(".key.age")
    if KEY.fullmatch(key):
        return key if leaves.last(key) else ""
    return f"holders/{draft}" if FILE.fullmatch(f"holders/{draft}") else ""


def _sha256(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _candidates(archive: Path, name: str) -> Iterator[bytes]:
    for path in (*places(archive, name), archive / "incoming" / Path(name).name):
        data = _read(path)
        if data is not None:
            yield data


def _read(path: Path) -> bytes | None:
    try:
        return octets(path)
    except OSError:
        return None
