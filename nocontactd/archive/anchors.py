"""The folder log/anchors: checkpoints as they were, each with what somebody outside said of it. Kept as it came.

NAME.note is a checkpoint, perhaps with countersignatures behind it; NAME.tsr an authority's RFC 3161
response to the octets of NAME.note. Nothing here is needed to open or to go on writing; nothing is overwritten.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from nocontactd.archive.durable import Disk, put, refusals
from nocontactd.archive.history import listed
from nocontactd.archive.lock import Turn
from nocontactd.archive.log import split_note
from nocontactd.archive.regular import octets
from nocontactd.archive.stamp import stamped
from nocontactd.archive.witness import witnesses
from nocontactd.errors import NocontactError, SourceError

FOLDER = "log/anchors"
PATIENCE = timedelta(days=3)
"""Without a time-stamp an authority that has given some may be away, before anybody is bothered with it."""


class Anchors:
    """One archive's time-stamps by one authority."""

    def __init__(self, archive: Path, url: str, ca_file: Path | None, disk: Disk | None = None) -> None:
        self._archive = archive
        self._url, self._ca_file = url, ca_file
        self._disk = disk or Disk()

    def anchor(self, now: Callable[[], datetime]) -> tuple[NocontactError, ...]:
        """Have the checkpoint stamped that is the log's, unless today's was; what is worth a word. SealError."""
        moment = now().astimezone(UTC)
        name = f"{moment:%Y-%m-%d}"
        with refusals(self._archive):
            if (self._archive / FOLDER / f"{name}.tsr").exists():
                return ()
            note = octets(self._archive / "log" / "checkpoint")
        try:
            response = stamped(note, self._url, self._ca_file)
        except SourceError as problem:
            return (problem,) if self._missed(moment.date()) else ()
        keep(self._archive, {f"{name}.note": note, f"{name}.tsr": response}, moment, self._disk)
        return ()

    def _missed(self, today: date) -> bool:
        """Whether a failure is worth a word: never since there was a stamp, or not for days."""
        with refusals(self._archive):
            names = [path.stem for path in listed(self._archive / FOLDER) if path.suffix == ".tsr"]
        return not names or max(names) < str(today - PATIENCE)


def keep(archive: Path, files: dict[str, bytes], moment: datetime, disk: Disk | None = None) -> None:
    """Put these into the folder, durably, in order. SealError: it cannot be written, or another process is at it."""
    disk = disk or Disk()
    with refusals(archive), Turn(archive / "log"):  # a daemon that starts just now empties incoming/
        disk.make_folder(archive / FOLDER)
        for name, data in files.items():
            put(disk, data, archive / FOLDER / name, incoming=archive / "incoming", moment=moment)


def countersigned(note: bytes) -> str:
    """The name of a note that a witness signed."""
    return f"{hashlib.sha256(note).hexdigest()[:16]}.note"


def seen(archive: Path) -> int:
    """The largest size of the log that a witness has signed, by the notes kept here; 0: none. OSError."""
    sizes = [0]
    for path in listed(archive / FOLDER):
        if path.suffix == ".note":
            try:
                note = octets(path)
                sizes += [split_note(note)[0].size] if any(witnesses(note)) else []
            except PermissionError:
                raise
            except (OSError, ValueError):
                continue  # verify names it
    return max(sizes)
