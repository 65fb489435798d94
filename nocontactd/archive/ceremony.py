"""A ceremony goes on where it was broken off, and nothing half-made is ever used.

Everything is made in `ceremony/` inside the archive's folder: each holder as soon as that person
has chosen or written down, then a whole archive that is tried there. Only then is it moved to
where it belongs, what says that there is an archive last.
"""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from nocontactd.archive import charter, keys
from nocontactd.archive.durable import Disk, flush_folder, put, refusals
from nocontactd.archive.holders import RECOVERY, Holder
from nocontactd.errors import SealError

FOLDER = "ceremony"
_DAYS_AHEAD = "days-ahead"
_PARTS = ("holders", "incoming", "index", "log", "README.txt", "mail", "keys", charter.NAME)
"""In the order of moving. With `keys`, which holds the second copy of archive.json, there is an archive."""


class Ceremony:
    """The ceremony of the archive that is to be at a path."""

    def __init__(
        self, path: Path, now: Callable[[], datetime], disk: Disk | None = None, days_ahead: int | None = None
    ) -> None:
        """`days_ahead`: for how many days keys are made; None: as an earlier start was told, or none."""
        self._path = path
        self._days_ahead = days_ahead
        self._now = now
        self._disk = disk or Disk()
        self._folder = path / FOLDER
        self.archive = self._folder / "archive"
        """Where the whole archive is made and tried."""

    @property
    def begun(self) -> bool:
        """Something was made at an earlier start."""
        return self._folder.exists()

    @property
    def moving(self) -> bool:
        """It was tried and found good, and only has to be brought to its place."""
        return self._folder.exists() and any((self._path / part).exists() for part in _PARTS)

    def expect_room(self) -> None:
        """SealError: something else is there; nothing was changed."""
        with refusals(self._path):
            there = {entry.name for entry in self._path.iterdir()} if self._path.exists() else set()
            if there - {FOLDER}:
                raise SealError(
                    f"archive {self._path}: that folder is not empty; nothing was changed",
                    "choose an empty one; are these the remains of an archive? then put its archive.json back",
                )

    def holder(self, role: str) -> Holder | None:
        """Who was made for this role, at this or an earlier start."""
        try:
            recipient = (self._folder / f"{role}.pub").read_text("ascii").strip()
            recovery = self._folder / f"{RECOVERY}.age"
            extra = recovery.read_bytes() if role == "owner" and recovery.exists() else b""
            return Holder(role, recipient, (self._folder / f"{role}.age").read_bytes(), extra)
        except FileNotFoundError:
            return None

    def keep(self, holder: Holder) -> None:
        """Make it durable; it counts from here on. SealError."""
        with refusals(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self._path, self._folder):
                self._disk.make_folder(folder)
            if self._days_ahead is not None:
                self._put(_DAYS_AHEAD, f"{self._days_ahead}\n".encode())
            known = self.holder(holder.role)
            if not known or known.locked != holder.locked:
                self.forget(holder.role)
                self._put(f"{holder.role}.age", holder.locked)
                self._put(f"{holder.role}.pub", f"{holder.recipient}\n".encode())
            if holder.recovery:
                self._put(f"{RECOVERY}.age", holder.recovery)

    def _put(self, name: str, data: bytes) -> None:
        put(self._disk, data, self._folder / name, incoming=self._folder, moment=self._moment())

    def forget(self, role: str) -> None:
        """It was not this; another one is made. OSError."""
        for name in (f"{role}.pub", f"{role}.age", *([f"{RECOVERY}.age"] if role == "owner" else [])):
            self._disk.remove(self._folder / name)

    def make(self, log_key: Path, holders: Sequence[Holder]) -> None:
        """Make the whole archive, to be tried; anew, if an earlier start did not finish it. SealError."""
        with refusals(self._path):
            if self.archive.exists():
                shutil.rmtree(self.archive)
        keys.found(self.archive, log_key, holders, "attended", self._now, self._disk, days_ahead=self._days())

    def _days(self) -> int:
        if self._days_ahead is not None:
            return self._days_ahead
        try:
            return int((self._folder / _DAYS_AHEAD).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def finish(self) -> None:
        """It was found good: bring it to its place, once and for all. SealError."""
        with refusals(self._path):
            for part in _PARTS:
                if (self.archive / part).exists():
                    self._disk.rename(self.archive / part, self._path / part)
                    flush_folder(self._disk, self._path)
            shutil.rmtree(self._folder)
            flush_folder(self._disk, self._path)

    def _moment(self) -> datetime:
        return self._now().astimezone(UTC)
