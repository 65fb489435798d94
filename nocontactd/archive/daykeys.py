"""A day key is durable, both halves in both copies and its leaf, before the day's first record; never overwritten."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import Disk, digest, flush_folder, put, write_new
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, Leaf
from nocontactd.errors import SealError

_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_SUFFIXES = (".key.age", ".pub")
_PATIENCE = 60.0
"""Seconds for the child that makes a key; it needs about a tenth of one."""


class DayKeys:
    """The public halves, and the making of new keys."""

    def __init__(self, archive: Path, disk: Disk, mint: Callable[[Charter], tuple[str, bytes]] | None = None) -> None:
        """`mint`: recipient and locked key of a new day; by default made in a child process."""
        self._archive = archive
        self._disk = disk
        self._mint = mint or self._in_child
        self._known: dict[str, str] = {}

    def recipient(self, day: str, leaves: Leaves, law: Charter, moment: datetime) -> str:
        """To whom that day's records are sealed. Needs the turn. OSError, SealError."""
        if day not in self._known:
            self._known = {day: self._lookup(day, leaves) or self._make(day, leaves, law, moment)}
        return self._known[day]

    def mend(self, leaves: Leaves, moment: datetime) -> None:
        """Put a good copy in the place of a lost or damaged one; log what was made and not logged. OSError.

        A public half that is gone is logged as gone: nothing that was sealed needs it.
        """
        for name, leaf in list(leaves.day_keys()):
            for suffix, wanted in zip(_SUFFIXES, (leaf.first, leaf.second), strict=True):
                self._mend(name + suffix, wanted, moment)
            if leaf.second != ORPHAN and not any((folder / f"{name}.pub").exists() for folder in self._folders()):
                leaves.append([Leaf(leaf.subject, leaf.first, ORPHAN)], moment)
        logged = {name for name, _leaf in leaves.day_keys()}
        unlogged = sorted(_names(self._folders()) - logged)
        for name in unlogged:
            hashes = [self._any(name + suffix) for suffix in _SUFFIXES]
            for suffix, found in zip(_SUFFIXES, hashes, strict=True):
                self._mend(name + suffix, found, moment)
            leaves.append([Leaf(f"key/{name}", *hashes)], moment)

    def _lookup(self, day: str, leaves: Leaves) -> str | None:
        """The newest key of that day whose public half still is what the log says."""
        for name, leaf in reversed(list(leaves.day_keys(day))):
            for folder in self._folders():
                try:
                    written = (folder / f"{name}.pub").read_bytes()
                except FileNotFoundError:
                    continue
                known = ORPHAN not in (leaf.first, leaf.second) and hashlib.sha256(written).hexdigest() == leaf.second
                if known:
                    return written.decode().strip()
        return None

    def _make(self, day: str, leaves: Leaves, law: Charter, moment: datetime) -> str:
        recipient, locked = self._mint(law)
        name = self._free(day, leaves)
        halves = dict(zip(_SUFFIXES, (locked, f"{recipient}\n".encode()), strict=True))
        incoming = self._archive / "incoming"
        for folder in self._folders():
            for suffix, half in halves.items():
                write_new(self._disk, incoming / (name + suffix), half, moment)
                self._disk.rename(incoming / (name + suffix), folder / (name + suffix))
            flush_folder(self._disk, folder)
        hashes = [hashlib.sha256(half).hexdigest() for half in halves.values()]
        leaves.append([Leaf(f"key/{name}", *hashes)], moment)
        return recipient

    def _free(self, day: str, leaves: Leaves) -> str:
        """DAY, else DAY.2, DAY.3 ...: the first that neither the log nor a folder knows."""
        taken = {name for name, _leaf in leaves.day_keys(day)} | _names(self._folders())
        number, name = 1, day
        while name in taken:
            number += 1
            name = f"{day}.{number}"
        return name

    def _mend(self, file: str, wanted: str, moment: datetime) -> None:
        """Both copies of one file are what the log says, if one of them is."""
        if wanted == ORPHAN:
            return
        first, second = (_hash(folder / file) for folder in self._folders())
        if first == second or wanted not in (first, second):
            return
        bad, good = self._folders() if second == wanted else reversed(self._folders())
        put(self._disk, (good / file).read_bytes(), bad / file, incoming=self._archive / "incoming", moment=moment)

    def _any(self, file: str) -> str:
        found = (_hash(folder / file) for folder in self._folders())
        return next((one for one in found if one), ORPHAN)

    def _folders(self) -> tuple[Path, Path]:
        return self._archive / "keys", self._archive / "keys" / "copy"

    def _in_child(self, law: Charter) -> tuple[str, bytes]:
        command = [sys.executable, "-m", "nocontactd.archive.mint"]
        try:
            child = subprocess.run(
                command,
                input="\n".join((law.owner, *law.others)).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],  # where -m looks first: this very package
                timeout=_PATIENCE,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            raise self._failure() from None
        recipient, _newline, locked = child.stdout.partition(b"\n")
        if not _RECIPIENT.fullmatch(recipient.decode("ascii", "replace")) or not locked.startswith(b"age-encryption"):
            raise self._failure()
        return recipient.decode(), locked

    def _failure(self) -> SealError:
        return SealError(
            f"archive {self._archive}: no key could be made for the day; nothing was sealed or removed",
            "can this user start `python -m nocontactd.archive.mint`? the next pass tries again",
        )


def _hash(path: Path) -> str:
    try:
        return digest(path)
    except OSError:
        return ""


def _names(folders: tuple[Path, Path]) -> set[str]:
    """Of every key of which any file is there."""
    files = [path.name for folder in folders for path in folder.iterdir()]
    return {file.removesuffix(s) for file in files for s in _SUFFIXES if re.fullmatch(_KEY + re.escape(s), file)}


_KEY = r"\d{4}-\d\d-\d\d(\.\d+)?"
