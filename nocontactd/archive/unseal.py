"""The opening half: two holders' passphrases in, messages out. Nothing the daemon reaches imports this.

A record that is not what its own hashes and its leaf say, or that has a leaf and is gone, is an
error in the place where it stands, and never holds up the next. What this user may not read is no
damage, and ends the opening. No plaintext is written to a disk, save where the caller asks.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import charter
from nocontactd.archive.format import (
    AUTH,
    FINAL,
    META,
    Member,
    Meta,
    commitment,
    content_hash,
    is_original,
    read_auth,
    read_final,
    read_meta,
)
from nocontactd.archive.history import listed, of_days, reading
from nocontactd.archive.log import KEY, RECORD, Leaf
from nocontactd.archive.phrase import normal
from nocontactd.archive.pinned import places
from nocontactd.archive.stash import Stash
from nocontactd.archive.ustar import Piece, Reader
from nocontactd.errors import CredentialError, DamagedError

KEEP = 4 * 1024 * 1024
_MOST = 16 * 1024 * 1024
"""meta.json, auth.json and final.json are held in memory; anybody can seal to a public key, so not without a limit."""


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

    def __init__(self, path: Path, owner: str, second: str) -> None:
        """`owner`, `second`: age identities (`AGE-SECRET-KEY-1...`)."""
        self._path = path
        self._owner = pyrage.x25519.Identity.from_str(owner)
        self._second = pyrage.x25519.Identity.from_str(second)
        self._day_keys: dict[str, list[pyrage.x25519.Identity]] = {}
        self._logged: dict[str, dict[str, Leaf]] = {}

    def days(self) -> tuple[str, ...]:
        """The days that hold records, or should by the log, oldest first. NocontactError."""
        with reading(self._path):
            there = {folder.name for folder in listed(self._path / "mail") if self._files(folder.name)}
            due = {leaf.day for leaf in of_days(self._path).values() if not leaf.orphan}
        return tuple(sorted(there | due))

    def messages(self, days: Iterable[str], keep: int = KEEP) -> Iterator[Opened | DamagedError]:
        """Every record of these days, of every kind, in order; one that is damaged or missing comes as its error.

        NocontactError: this user may not read the archive.
        """
        days = sorted(set(days))
        self._load(days)
        for day in days:
            there = self._files(day)  # after the log was read: a record stands there before it has a leaf
            due = {record for record, leaf in self._logged[day].items() if not leaf.orphan}
            for record in sorted(there | due, key=lambda name: (len(name), name)):
                try:
                    if record not in there:
                        raise DamagedError(f"{record}: this record is missing", "`nocontact verify` says more")
                    yield self._message(record, keep)
                except DamagedError as problem:
                    yield problem

    def originals(self, record: str, into: Callable[[str], BinaryIO]) -> tuple[Member, ...]:
        """Write the exact octets of each original part to the file that `into(name)` gives; it is closed here.

        What was written is good only when this returns. DamagedError: it is not. What `into` and
        its files raise goes through.
        """
        with ExitStack() as files:
            part = _Part("", None)

            def take(piece: Piece) -> None:
                nonlocal part
                if piece.name != part.name:
                    files.close()
                    part = _Part(piece.name, files.enter_context(into(piece.name)))
                if part.file:
                    part.file.write(piece.data)

            return tuple(filter(is_original, self._open(record, take).members))

    def day_keys(self, day: str) -> tuple[str, ...]:
        """The age identities of one day, for whoever wants to open its records with `age -d -i`. DamagedError."""
        return tuple(str(key) for key in self._keys(day))

    def _message(self, record: str, keep: int) -> Opened:
        kept = bytearray()
        first = ""

        def take(piece: Piece) -> None:
            nonlocal first
            first = first or piece.name
            if piece.name == first:
                kept.extend(piece.data[: keep - len(kept)])

        found = self._open(record, take)
        originals = tuple(filter(is_original, found.members))
        return Opened(record, found.meta.kind, found.meta, originals, bytes(kept), found.logged, found.authenticated)

    def _open(self, record: str, take: Callable[[Piece], None]) -> "_Contents":
        """Read one record to its end; `take` is given the pieces of its original parts.

        DamagedError; NocontactError: it is not for this user to read.
        """
        if not RECORD.fullmatch(record):
            raise DamagedError(f"{record}: not the name of a record")
        self._load([record[:10]])
        sink = _Sink(take)
        try:
            sealed = _decrypt(self._path / "mail" / f"{record}.age", sink, self._keys(record[:10]))
            contents = sink.contents(record)
        except (OSError, ValueError, pyrage.DecryptError) as problem:
            if sink.stash.failure and not isinstance(sink.stash.failure, ValueError):
                raise sink.stash.failure from None
            if isinstance(problem, PermissionError):
                with reading(self._path):
                    raise
            raise DamagedError(f"{record}: this record is damaged or altered", "`nocontact verify` says more") from None
        leaf = self._logged[record[:10]].get(record)
        if leaf and not leaf.vouches(sealed, commitment(contents.meta.salt, content_hash(contents.members))):
            raise DamagedError(f"{record}: this record is not the one that was logged", "`nocontact verify` says more")
        return replace(contents, logged=leaf is not None and not leaf.orphan)

    def _files(self, day: str) -> set[str]:
        """Names of the records of a day of which there is a file."""
        with reading(self._path):
            files = [path.stem for path in listed(self._path / "mail" / day) if path.suffix == ".age"]
        return {f"{day}/{stem}" for stem in files if RECORD.fullmatch(f"{day}/{stem}")}

    def _load(self, days: Iterable[str]) -> None:
        missing = set(days) - self._logged.keys()
        if missing:
            self._logged |= {day: {} for day in missing}
            with reading(self._path):
                for record, leaf in of_days(self._path, missing).items():
                    self._logged[leaf.day][record] = leaf

    def _keys(self, day: str) -> list[pyrage.x25519.Identity]:
        """Every key of that day that these two open. DamagedError: there is none."""
        if day not in self._day_keys:
            with reading(self._path):
                opened = {path.name: key for path in self._locked(day) if (key := self._day_key(path))}
            self._day_keys[day] = list(opened.values())
        if not self._day_keys[day]:
            raise DamagedError(f"{day}: the key of this day cannot be opened", "`nocontact verify` says more")
        return self._day_keys[day]

    def _locked(self, day: str) -> Iterator[Path]:
        """Both copies of every key of that day. PermissionError."""
        for path in (*listed(self._path / "keys"), *listed(self._path / "keys" / "copy")):
            name = path.name.removesuffix(".key.age")
            if name != path.name and name.startswith(day) and KEY.fullmatch(f"key/{name}"):
                yield path

    def _day_key(self, path: Path) -> pyrage.x25519.Identity | None:
        """PermissionError."""
        try:
            inner = pyrage.decrypt(path.read_bytes(), [self._second])
            return _identity(pyrage.decrypt(inner, [self._owner]))
        except PermissionError:
            raise
        except (OSError, ValueError, pyrage.DecryptError, pyrage.IdentityError):
            return None


def unlock(path: Path, *, owner: str | None, therapist: str | None, witness: str | None) -> Opener:
    """Open with the passphrases of the owner and (the therapist or the witness).

    CredentialError: one is missing or wrong, or these two do not open it. DamagedError: no archive.
    Which of the two was wrong is not told, and both are tried in any case: each of the two people
    learns of the other's secret only that both were right. NocontactError: not for this user to read.
    """
    with reading(path):
        return _unlock(path, owner, therapist, witness)


def _unlock(path: Path, owner: str | None, therapist: str | None, witness: str | None) -> Opener:
    """PermissionError, too."""
    if not any(file.exists() for file in places(path, charter.NAME)):
        raise DamagedError(f"archive {path}: there is no archive here", "see `archive:` in the configuration")
    role, second = ("therapist", therapist) if therapist else ("witness", witness)
    if not owner or not second:
        raise CredentialError(
            "the archive opens only for two: the owner, and the therapist or the witness; nothing was opened",
            "both passphrases are needed",
        )
    for holder in ("owner", role):
        if not any(file.is_file() for file in places(path, f"holders/{holder}.age")):
            raise CredentialError(
                f"archive {path}: the key of the {holder} is not in it; nothing was opened",
                "was it never made, or taken elsewhere? another holder may open it in their place",
            )
    first, other = _unlocked(path, "owner", owner), _unlocked(path, role, second)
    if not first or not other:
        raise CredentialError(
            f"the passphrases of the owner and the {role} do not open the archive together; nothing was opened",
            "each of the two types their own once more: capitals and spaces count, and the order of a card's words too",
        )
    return Opener(path, first, other)


def _unlocked(path: Path, role: str, phrase: str) -> str | None:
    """A holder's identity, from whichever copy of it is sound."""
    for locked in {file.read_bytes(): None for file in places(path, f"holders/{role}.age") if file.is_file()}:
        try:
            return str(_identity(pyrage.passphrase.decrypt(locked, normal(phrase))))
        except (OSError, ValueError, pyrage.DecryptError, pyrage.IdentityError):
            continue
    return None


def _identity(text: bytes) -> pyrage.x25519.Identity:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return pyrage.x25519.Identity.from_str(lines[0] if lines else "")


def _decrypt(path: Path, sink: "_Sink", keys: Collection[pyrage.x25519.Identity]) -> str:
    """Open a file into `sink`; the SHA-256 (hex) of the sealed octets."""
    with path.open("rb") as file:
        source = _Source(file)
        pyrage.decrypt_io(source, sink, list(keys))
        while source.read(1 << 16):
            pass
        return source.digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    file: BinaryIO | None


@dataclass(frozen=True, slots=True)
class _Contents:
    """What one record was found to hold."""

    meta: Meta
    members: tuple[Member, ...]
    logged: bool
    authenticated: bool | None


class _Source:
    """A sealed file, hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


class _Sink:
    """Takes the plaintext as it is opened: age has vouched for each piece of 64 KiB before it comes."""

    def __init__(self, take: Callable[[Piece], None]) -> None:
        self.stash = Stash()
        self._take = take
        self._reader = Reader()
        self._small = {META: b"", AUTH: b"", FINAL: b""}
        self._digest = hashlib.sha256()
        self._members: list[Member] = []

    def write(self, data: bytes) -> int:
        with self.stash:
            for piece in self._reader.feed(data):
                self._piece(piece)
        return len(data)

    def flush(self) -> None: ...

    def contents(self, record: str) -> _Contents:
        """ValueError: it does not agree with itself, or is another record."""
        meta = read_meta(self._small[META])
        members = read_final(self._small[FINAL])
        if not self._reader.ended or tuple(self._members) != members or meta.record != record:
            raise ValueError("not as the format says")
        return _Contents(meta, members, False, read_auth(self._small[AUTH]))

    def _piece(self, piece: Piece) -> None:
        if piece.name in self._small:
            self._small[piece.name] += piece.data
            if len(self._small[piece.name]) > _MOST:
                raise ValueError("too large")
        self._digest.update(piece.data)
        member = Member(piece.name, piece.size, "")
        if is_original(member):
            self._take(piece)
        if piece.last and piece.name != FINAL:
            self._members.append(replace(member, sha256=self._digest.hexdigest()))
        if piece.last:
            self._digest = hashlib.sha256()
