"""A day key is durable, both halves in both copies and its leaf, before the day's first record; never overwritten."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import Disk, digest, flush_folder, put
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, Leaf
from nocontactd.archive.many import write_all
from nocontactd.archive.minted import Minted, minted
from nocontactd.archive.regular import octets
from nocontactd.errors import SealError

_SUFFIXES = (".key.age", ".pub")
DRAFTS = (".key.age", ".key.age.new")
"""As a re-wrapped key waits in incoming/, once for each of its two places."""


class DayKeys:
    """The public halves, and the making of new keys."""

    def __init__(self, archive: Path, disk: Disk, mint: Callable[[Charter], tuple[str, bytes]] | None = None) -> None:
        """`mint`: recipient and locked key of a new day; by default made in a child process."""
        self._archive = archive
        self._disk = disk
        self._mint = mint or self._minted
        self._known: dict[str, str] = {}

    def recipient(
        self, day: str, leaves: Leaves, law: Charter, moment: datetime, ours: Callable[[str], bool] = lambda _key: True
    ) -> str:
        """To whom that day's records are sealed. Needs the turn. OSError, SealError.

        `ours`: whether a key that is there may be one that was made here. Those that are made ahead are not asked for.
        """
        if day not in self._known:
            there = self._lookup(day, leaves)
            known = there if there and (law.days_ahead or ours(there)) else None
            self._known = {day: known or self._make(day, leaves, law, moment)}
        return self._known[day]

    def add(self, made: Mapping[str, Minted], leaves: Leaves, moment: datetime) -> None:
        """New keys, each by its KEY: both halves in both copies, then their leaves. Needs the turn. OSError."""
        halves = {
            name: dict(zip(_SUFFIXES, (key.locked, f"{key.recipient}\n".encode()), strict=True))
            for name, key in made.items()
        }
        incoming = self._archive / "incoming"
        files = {name + suffix: half for name, both in halves.items() for suffix, half in both.items()}
        for folder in self._folders():
            write_all(self._disk, {incoming / name: data for name, data in files.items()}, moment)
            for name in files:
                self._disk.rename(incoming / name, folder / name)
            flush_folder(self._disk, folder)
        leaves.append([Leaf(f"key/{name}", *map(_sha256, both.values())) for name, both in halves.items()], moment)

    def mend(self, leaves: Leaves, moment: datetime) -> None:
        """Put a good copy in the place of a lost or damaged one; log what was made and not logged. OSError.

        A public half that is gone is logged as gone: nothing that was sealed needs it.
        """
        self.take_up(leaves)
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

    def take_up(self, leaves: Leaves) -> None:
        """Put re-wrapped keys from incoming/ in their places, where the log already says so. Needs the turn. OSError.

        One place after the other, flushed between: at every moment one of the two has them, or incoming/ does.
        """
        waiting = {file.name: file for file in (self._archive / "incoming").iterdir()}
        for folder, suffix in zip(reversed(self._folders()), DRAFTS, strict=True):
            logged = [
                (waiting[name + suffix], folder / f"{name}.key.age")
                for name, leaf in leaves.day_keys()
                if name + suffix in waiting and _hash(waiting[name + suffix]) == leaf.first
            ]
            for draft, target in logged:
                self._disk.rename(draft, target)
            if logged:
                flush_folder(self._disk, folder)

    def _lookup(self, day: str, leaves: Leaves) -> str | None:
        """The newest key of that day whose public half still is what the log says."""
        found = (self._sound(name, leaf) for name, leaf in reversed(list(leaves.day_keys(day))))
        return next(filter(None, found), None)

    def _sound(self, name: str, leaf: Leaf) -> str | None:
        """The public half of a key, if a copy of it still is what the log says."""
        for folder in self._folders():
            try:
                written = octets(folder / f"{name}.pub")
            except PermissionError:
                raise
            except OSError:
                continue
            if ORPHAN not in (leaf.first, leaf.second) and hashlib.sha256(written).hexdigest() == leaf.second:
                return written.decode().strip()
        return None

    def _make(self, day: str, leaves: Leaves, law: Charter, moment: datetime) -> str:
        name = self._free(day, leaves)
        key = self._shared(leaves) if law.days_ahead else Minted(*self._mint(law))
        self.add({name: key}, leaves, moment)
        return key.recipient

    def _shared(self, leaves: Leaves) -> Minted:
        """Where no key is made but at a ceremony and those have run out: the last one, once more, for this day."""
        for name, leaf in sorted(leaves.day_keys(), reverse=True):
            recipient = self._sound(name, leaf)
            for folder in self._folders():
                if recipient and _hash(folder / f"{name}.key.age") == leaf.first:
                    return Minted(recipient, octets(folder / f"{name}.key.age"))
        raise SealError(
            f"archive {self._archive}: no key that was made ahead is left; nothing was sealed or removed",
            "make others: `nocontact keys rehearse`",
        )

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
        put(self._disk, octets(good / file), bad / file, incoming=self._archive / "incoming", moment=moment)

    def _any(self, file: str) -> str:
        found = (_hash(folder / file) for folder in self._folders())
        return next((one for one in found if one), ORPHAN)

    def _folders(self) -> tuple[Path, Path]:
        return self._archive / "keys", self._archive / "keys" / "copy"

    def _minted(self, law: Charter) -> tuple[str, bytes]:
        [key] = minted(self._archive, law)
        return key.recipient, key.locked


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
