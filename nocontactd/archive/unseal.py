"""The opening half: two holders' passphrases in, messages out. Nothing the daemon reaches imports this.

A record that is not what its own hashes and its leaf say, or that has a leaf and is gone, is an
error in the place where it stands, and never holds up the next. What this user may not read is no
damage, and ends the opening. No plaintext is written to a disk, save where the caller asks.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nocontactd.archive import recorded
from nocontactd.archive.contents import Contents, read_contents
from nocontactd.archive.format import Member, Meta, is_original
from nocontactd.archive.history import listed, reading
from nocontactd.archive.log import RECORD, Leaf
from nocontactd.archive.release import Release
from nocontactd.archive.session import Session
from nocontactd.archive.unlock import Unlocked, identities, pair
from nocontactd.archive.ustar import Piece
from nocontactd.errors import CredentialError, DamagedError

KEEP = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """One record, opened and checked against its own hashes and its leaf."""

    record: str
    """`DAY/NNNNNN`."""
    kind: str
    """message, note, coverage, opening, loosening, keys or cover (format.KINDS)."""
    meta: Meta
    members: tuple[Member, ...]
    """The original parts in order (name, size, sha256); the first is the message itself; none for a note."""
    original: bytes
    """The first `keep` octets of the first part: all of it unless `members[0].size` is larger. b"" without parts."""
    logged: bool
    """False: it stands in the archive but was never acknowledged; another copy of it usually follows."""
    authenticated: bool | None = None
    """Whether the address that matched was proven at arrival; None where nobody looked."""

    @property
    def sha256(self) -> str:
        """Of the original octets (of message.json for a text); "" without parts."""
        return self.members[0].sha256 if self.members else ""


class Opener:
    """An archive that two holders have opened."""

    def __init__(self, path: Path, owner: str, second: "str | Release", session: Session | None = None) -> None:
        """`owner`, `second`: age identities (`AGE-SECRET-KEY-1...`); or in the second's place what was released.

        `session`: how long it stays open; by default from now on as long as session.LASTS.
        """
        self._path = path
        self._unlocked = Unlocked(path, owner, second, session or Session())
        self._logged: dict[str, dict[str, Leaf]] = {}

    @property
    def session(self) -> Session:
        """When it has ended nothing more is opened: every further day and record is a CredentialError."""
        return self._unlocked.session

    def forget(self) -> None:
        """End the session, and keep nothing that opens anything."""
        self._unlocked.forget()

    def days(self) -> tuple[str, ...]:
        """The days that hold records, or should by the log, and can be opened; oldest first. NocontactError."""
        with reading(self._path):
            there = {folder.name for folder in listed(self._path / "mail") if any(self._names(folder.name))}
            due = recorded.due(self._path)
        released = self._unlocked.days
        return tuple(sorted((there | due) if released is None else (there | due) & released))

    def messages(self, days: Iterable[str], keep: int = KEEP) -> Iterator[Opened | DamagedError]:
        """Every record of these days, of every kind, in order; one that is damaged or missing comes as its error.

        NocontactError: this user may not read the archive.
        """
        days = sorted(set(days))
        self.load(days)
        for day in days:
            for record in self.records(day):
                try:
                    yield self.message(record, keep)
                except DamagedError as problem:
                    yield problem

    def records(self, day: str) -> dict[str, os.stat_result | None]:
        """The records of a day in order, each with what the disk says of its file; None: due by the log, and gone.

        NocontactError: this user may not read the archive.
        """
        self.load([day])
        with reading(self._path):
            there = self._files(day)  # after the log was read: a record stands there before it has a leaf
        due = {record for record, leaf in self.leaves(day).items() if not leaf.orphan}
        return {name: there.get(name) for name in sorted(there.keys() | due, key=lambda name: (len(name), name))}

    def leaves(self, day: str) -> Mapping[str, Leaf]:
        """What the log says of a day's records. NocontactError: this user may not read the log."""
        self.load([day])
        return self._logged[day]

    def load(self, days: Iterable[str]) -> None:
        """Read what the log says of these days: once for all of them, where they are many. NocontactError."""
        missing = set(days) - self._logged.keys()
        if missing:
            self._logged |= {day: {} for day in missing}
            with reading(self._path):
                for record, leaf in recorded.of_days(self._path, missing).items():
                    self._logged[leaf.day][record] = leaf

    def message(self, record: str, keep: int = KEEP) -> Opened:
        """Open one record. DamagedError: it is missing or damaged. NocontactError: not for this user to read."""
        kept = bytearray()
        first = ""

        def take(piece: Piece) -> None:
            nonlocal first
            if is_original(Member(piece.name, piece.size, "")):
                first = first or piece.name
                if piece.name == first:
                    kept.extend(piece.data[: keep - len(kept)])

        found = self._open(record, take)
        originals = tuple(filter(is_original, found.members))
        leaf = self.leaves(record[:10]).get(record)
        logged = leaf is not None and not leaf.orphan
        return Opened(record, found.meta.kind, found.meta, originals, bytes(kept), logged, found.authenticated)

    def extract(self, record: str, into: Callable[[str], BinaryIO | None]) -> Contents:
        """Write the exact octets of each member to the file that `into(name)` gives, if it gives one; closed here.

        What was written is good only when this returns. DamagedError: it is not. What `into` and its
        files raise goes through.
        """
        with ExitStack() as files:
            name, file = "", None

            def take(piece: Piece) -> None:
                nonlocal name, file
                if piece.name != name:
                    files.close()
                    name, file = piece.name, into(piece.name)
                    if file:
                        files.enter_context(file)
                if file:
                    file.write(piece.data)

            return self._open(record, take)

    def originals(self, record: str, into: Callable[[str], BinaryIO]) -> tuple[Member, ...]:
        """The same for the parts of the message itself, and nothing that was written about it."""
        found = self.extract(record, lambda name: into(name) if is_original(Member(name, 0, "")) else None)
        return tuple(filter(is_original, found.members))

    def day_keys(self, day: str) -> tuple[str, ...]:
        """The age identities of one day, for whoever wants to open its records with `age -d -i`. DamagedError."""
        return tuple(str(key) for key in self._unlocked.keys(day))

    def _open(self, record: str, take: Callable[[Piece], None]) -> Contents:
        """Read one record to its end; `take` is given the pieces of all its members.

        DamagedError; NocontactError: it is not for this user to read.
        """
        if not RECORD.fullmatch(record):
            raise DamagedError(f"{record}: not the name of a record")
        leaf = self.leaves(record[:10]).get(record)
        with reading(self._path):
            file = _sealed(self._path / "mail" / f"{record}.age", record)
        with file:
            contents = read_contents(file, record, self._unlocked.keys(record[:10]), take)
        if leaf and not leaf.vouches(contents.sealed, contents.commitment):
            raise DamagedError(f"{record}: this record is not the one that was logged", "`nocontact verify` says more")
        return contents

    def _files(self, day: str) -> dict[str, os.stat_result]:
        """The records of a day of which there is a file. PermissionError."""
        folder = f"{self._path}/mail/{day}/"
        found = {}
        for name in self._names(day):
            with suppress(FileNotFoundError):
                found[f"{day}/{name[:-4]}"] = os.lstat(folder + name)
        return found

    def _names(self, day: str) -> Iterator[str]:
        """Of the files of a day's records. PermissionError."""
        try:
            with os.scandir(self._path / "mail" / day) as entries:  # not iterdir: many thousand paths cost a second
                names = [entry.name for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from (name for name in names if name.endswith(".age") and RECORD.fullmatch(f"{day}/{name[:-4]}"))


def _sealed(path: Path, record: str) -> BinaryIO:
    """The file of a record. No link is followed, and a pipe that lies there is not waited for. PermissionError."""
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except PermissionError:
        raise
    except FileNotFoundError:
        raise DamagedError(f"{record}: this record is missing", "`nocontact verify` says more") from None
    except OSError:
        raise DamagedError(f"{record}: this record is damaged or altered", "`nocontact verify` says more") from None


def unlock(
    path: Path, *, owner: str | None, therapist: str | None, witness: str | None, session: Session | None = None
) -> Opener:
    """Open with the passphrases of the owner and (the therapist or the witness).

    CredentialError: one is missing or wrong, or these two do not open it. DamagedError: no archive.
    Which of the two was wrong is not told, and both are tried in any case: each of the two people
    learns of the other's secret only that both were right. NocontactError: not for this user to read.
    """
    first, second = pair(path, owner=owner, therapist=therapist, witness=witness)
    return Opener(path, first, second, session)


def unlock_released(path: Path, *, owner: str | None, release: Release, session: Session | None = None) -> Opener:
    """Open the days that were released, and no others, with the owner's passphrase. CredentialError: it is wrong."""
    found = identities(path, {"owner": owner}) if owner else {}
    if not found:
        raise CredentialError("this is not the owner's passphrase; nothing was opened", "capitals and spaces count")
    return Opener(path, found["owner"], release, session)
