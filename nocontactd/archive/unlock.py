"""What opens: from passphrases to holders' identities, from two of these to day keys. The daemon never loads this.

Which of two secrets was wrong is not told: both are tried in any case, in every copy, and one
sentence is said of both. An identity is kept no longer than the session lasts.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import charter
from nocontactd.archive.charter import Charter
from nocontactd.archive.history import charters, listed, read, reading, signed
from nocontactd.archive.log import KEY, ORPHAN, Leaf
from nocontactd.archive.phrase import normal
from nocontactd.archive.pinned import places
from nocontactd.archive.regular import octets
from nocontactd.archive.release import Release, Request
from nocontactd.archive.session import Session
from nocontactd.errors import BusyError, CredentialError, DamagedError

LOCKED = ".key.age"
TOGETHER = (
    "each of the two types their own once more, in their own place: "
    "capitals and spaces count, and the order of a card's words too"
)
_ATTEMPTS = 8
Unlock = Callable[[bytes, str], bytes]
"""Open what a passphrase locks: scrypt, a second or two. Raises pyrage.DecryptError, ValueError."""


def patient(locked: bytes, phrase: str) -> bytes:
    """Open what a passphrase locks, on a busy machine too. BusyError, pyrage.DecryptError.

    The library first guesses how long it will take, and refuses above 16 seconds: a machine that has
    other things to do for a moment seems many times slower than it is, and is asked again.
    """
    for _attempt in range(_ATTEMPTS):
        try:
            return bytes(pyrage.passphrase.decrypt(locked, phrase))
        except pyrage.DecryptError as problem:
            if "work parameter" not in str(problem):
                raise
    raise BusyError(
        "this machine is too busy, or too slow, to unlock a passphrase just now; nothing was opened",
        "try again when it has less to do, or on a faster one",
    )


class Unlocked:
    """The day keys that two holders open together; or the owner alone, of the days that were released."""

    def __init__(self, path: Path, owner: str, second: "str | Release", session: Session) -> None:
        """`owner`, `second`: age identities (`AGE-SECRET-KEY-1...`); or in the second's place what was released."""
        self.session = session
        self._path = path
        self._owner = [pyrage.x25519.Identity.from_str(owner)]
        self._released = second if isinstance(second, Release) else None
        self._second = [] if isinstance(second, Release) else [pyrage.x25519.Identity.from_str(second)]
        self._keys: dict[str, list[pyrage.x25519.Identity]] = {}

    @property
    def days(self) -> frozenset[str] | None:
        """The days that can be opened; None: all."""
        return None if self._released is None else frozenset(name[:10] for name, _inner in self._released.keys)

    def keys(self, day: str) -> list[pyrage.x25519.Identity]:
        """Every key of that day that these open. DamagedError: none. CredentialError: not released, or too late."""
        self._check()
        if self.days is not None and day not in self.days:
            raise CredentialError(
                f"{day}: this day was not released; nothing of it was opened",
                "ask for it: `nocontact keys request`",
            )
        if day not in self._keys:
            with reading(self._path):
                opened = {str(key): key for key in map(self._key, self._inner(day)) if key}
            self._keys[day] = list(opened.values())
        if not self._keys[day]:
            raise DamagedError(f"{day}: the key of this day cannot be opened", "`nocontact verify` says more")
        return self._keys[day]

    def forget(self) -> None:
        """Nothing can be opened from here on."""
        self.session.end()
        self._owner, self._second, self._released = [], [], None
        self._keys.clear()

    def _check(self) -> None:
        try:
            self.session.check()
        except CredentialError:
            self.forget()
            raise

    def _inner(self, day: str) -> Iterator[bytes]:
        """What only the owner's identity is needed for, of every key of that day. PermissionError."""
        if self._released is not None:
            yield from (inner for name, inner in self._released.keys if name[:10] == day)
            return
        for _name, locked in locked_keys(self._path, day):
            inner = peeled(locked, self._second)
            if inner:
                yield inner

    def _key(self, inner: bytes) -> pyrage.x25519.Identity | None:
        plain = peeled(inner, self._owner)
        try:
            return read_identity(plain) if plain else None
        except (ValueError, pyrage.IdentityError):
            return None


def locked_keys(path: Path, day: str = "") -> Iterator[tuple[str, bytes]]:
    """Name and octets of both copies of every key (of that day) that can be read. PermissionError."""
    for file in (*listed(path / "keys"), *listed(path / "keys" / "copy")):
        name = file.name.removesuffix(LOCKED)
        if name != file.name and name.startswith(day) and KEY.fullmatch(f"key/{name}"):
            try:
                yield name, octets(file)
            except PermissionError:
                raise
            except OSError:
                continue


def peeled(locked: bytes, identities: list[pyrage.x25519.Identity]) -> bytes | None:
    """One layer off; None: none of these identities opens it."""
    try:
        return bytes(pyrage.decrypt(locked, identities))
    except (ValueError, pyrage.DecryptError):
        return None


def read_identity(text: bytes) -> pyrage.x25519.Identity:
    """ValueError, pyrage.IdentityError: it is none."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return pyrage.x25519.Identity.from_str(lines[0] if lines else "")


def pair(
    path: Path,
    *,
    owner: str | None,
    therapist: str | None,
    witness: str | None,
    decrypt: Unlock = patient,
) -> tuple[str, str]:
    """The identities of the owner and of (the therapist or the witness).

    CredentialError: one is missing or wrong. DamagedError: no archive. NocontactError: not for this user to read.
    """
    role, second = ("therapist", therapist) if therapist else ("witness", witness)
    with reading(path):
        _expect_archive(path)
        if not owner or not second:
            raise CredentialError(
                "the archive opens only for two: the owner, and the therapist or the witness; nothing was opened",
                "both passphrases are needed",
            )
        found = identities(path, {"owner": owner, role: second}, decrypt)
    if set(found) != {"owner", role}:
        raise CredentialError(
            f"the passphrases of the owner and the {role} do not open the archive together; nothing was opened",
            TOGETHER,
        )
    return found["owner"], found[role]


def law(path: Path) -> Charter:
    """Who holds keys here, for telling people. DamagedError: there is no archive. NocontactError: not for this user."""
    with reading(path):
        _expect_archive(path)
        for data in charters(path):
            return charter.parse(data)
    raise DamagedError(f"archive {path}: its archive.json cannot be read; nothing was done", "run `nocontact verify`")


def _expect_archive(path: Path) -> None:
    """DamagedError: there is none. PermissionError."""
    if not any(file.exists() for file in places(path, charter.NAME)):
        raise DamagedError(f"archive {path}: there is no archive here", "see `archive:` in the configuration")


def identities(path: Path, phrases: Mapping[str, str], decrypt: Unlock = patient) -> dict[str, str]:
    """The identities of those of these roles whose passphrase is right; all are tried, so that none is told by time.

    CredentialError: the key of one is not in the archive at all. PermissionError.
    """
    for role in phrases:
        if not any(file.is_file() for file in places(path, f"holders/{role}.age")):
            raise CredentialError(
                f"archive {path}: the key of the {role} is not in it; nothing was opened",
                "was it never made, or taken elsewhere? another holder may open it in their place",
            )
    found = {role: identity(_copies(path, role), phrase, decrypt) for role, phrase in phrases.items()}
    return {role: text for role, text in found.items() if text}


def identity(copies: Iterable[bytes], phrase: str, decrypt: Unlock = patient) -> str | None:
    """The identity in one of these copies of a holder's locked file; every copy is tried, right or wrong."""
    found = None
    for locked in copies:
        try:
            found = str(read_identity(decrypt(locked, normal(phrase))))
        except (OSError, ValueError, pyrage.DecryptError, pyrage.IdentityError):
            continue
    return found


def _copies(path: Path, role: str) -> dict[bytes, None]:
    """Each different one of the two copies of a holder's locked file, if it can be read. PermissionError."""
    found: dict[bytes, None] = {}
    for file in places(path, f"holders/{role}.age"):
        try:
            found[octets(file)] = None
        except PermissionError:
            raise
        except OSError:  # a dead sector under one copy costs nothing
            continue
    return found


def released(request: Request, second: str) -> Release:
    """Take the outer layer off the days of a request, with a therapist's or witness's identity.

    CredentialError: it does not open one of them; then none is released.
    """
    mine = [pyrage.x25519.Identity.from_str(second)]
    keys = tuple((name, peeled(locked, mine)) for name, locked in request.keys)
    opened = tuple((name, inner) for name, inner in keys if inner)
    if len(opened) < len(keys):
        raise CredentialError(
            "this key does not open the days of this request; nothing was released",
            "was it made for another holder, or for the one before you? the owner can ask anew",
        )
    return Release(request.origin, request.name, opened)


def check_released(path: Path, release: Release, owner: str) -> None:
    """Hold what was released against the log. DamagedError: it is not the keys of these days. PermissionError."""
    mine = [pyrage.x25519.Identity.from_str(owner)]
    with reading(path):
        logged = _logged_keys(path)
    for name, inner in release.keys:
        plain, leaf = peeled(inner, mine), logged.get(name)
        if not plain or not leaf or not _vouched(plain, leaf):
            raise DamagedError(
                f"{name}: what was released is not the key of this day; nothing was accepted",
                "was it made for another archive, or altered on its way? ask anew with `nocontact keys request`",
            )


def _logged_keys(path: Path) -> dict[str, Leaf]:
    """The last leaf of each key, from whichever copy of the log was signed for. DamagedError: neither was."""
    said = signed(path)
    for folder in ("log", "log/copy"):
        logged: dict[str, Leaf] = {}

        def take(_index: int, leaf: Leaf | None, logged: dict[str, Leaf] = logged) -> None:
            if leaf and KEY.fullmatch(leaf.subject):
                logged[leaf.subject.removeprefix("key/")] = leaf

        try:
            if read(path / folder / "leaves", {said.size}, take).extends(said):
                return logged
        except PermissionError:
            raise
        except OSError:
            continue
    raise DamagedError(
        f"archive {path}: its log is not the one that was signed for; nothing was accepted", "run `nocontact verify`"
    )


def _vouched(plain: bytes, leaf: Leaf) -> bool:
    """Whether this is the private half of the public one that was logged; of a lost one there is nothing to compare."""
    try:
        recipient = read_identity(plain).to_public()
    except (ValueError, pyrage.IdentityError):
        return False
    return leaf.second in (ORPHAN, hashlib.sha256(f"{recipient}\n".encode()).hexdigest())
