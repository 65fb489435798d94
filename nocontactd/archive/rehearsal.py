"""The keys are tried by those who hold them: it opens for the right two, and for no others, whatever these try.

Not the program's own questions are tried but the locks: each layer of a day key is given every
identity that those people have.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive.unlock import locked_keys, peeled, read_identity
from nocontactd.archive.unseal import Opener
from nocontactd.errors import DamagedError

FACT = ("rehearsal", "a test record")
_LAYERS = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """Some holders tried to open the test record."""

    who: tuple[str, ...]
    opened: bool
    right: bool
    """It is as it must be."""


def rehearse(archive: Path, day: str, holders: Mapping[str, str]) -> Iterator[Attempt]:
    """Try the test record of that day with these holders' identities (by role), in every company that matters."""
    for who in _companies(holders):
        right = "owner" in who and len(who) > 1
        opened = _opens(archive, day, [holders[role] for role in who])
        if right and opened:
            opened = _read(archive, day, holders["owner"], next(holders[role] for role in who if role != "owner"))
        yield Attempt(who, opened, opened == right)


def _companies(holders: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    others = [role for role in ("therapist", "witness") if role in holders]
    yield from (("owner", role) for role in others)
    yield ("owner",)
    yield tuple(others)


def _opens(archive: Path, day: str, identities: list[str]) -> bool:
    """Whether these identities, each tried on each layer, come to a key of that day."""
    mine = [pyrage.x25519.Identity.from_str(identity) for identity in identities]
    return any(_peels(locked, mine) for _name, locked in locked_keys(archive, day))


def _peels(locked: bytes, identities: list[pyrage.x25519.Identity]) -> bool:
    found: bytes | None = locked
    for _layer in range(_LAYERS):
        found = peeled(found, identities) if found else None
    try:
        return bool(found) and bool(read_identity(found or b""))
    except (ValueError, pyrage.IdentityError):
        return False


def _read(archive: Path, day: str, owner: str, second: str) -> bool:
    """Whether these two read the test record itself, as any reader would."""
    opener = Opener(archive, owner, second)
    for record in reversed(opener.records(day)):
        with suppress(DamagedError):
            if FACT in opener.message(record, 0).meta.facts:
                return True
    return False
