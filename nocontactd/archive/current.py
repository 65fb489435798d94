"""The log's latest checkpoint and the leaves under it. Proofs begin here, and nothing unsigned counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.charter import Charter
from nocontactd.archive.history import charters, whole_lines
from nocontactd.archive.log import Checkpoint, read_checkpoint
from nocontactd.archive.proof import Subtrees
from nocontactd.archive.regular import octets
from nocontactd.errors import DamagedError


@dataclass(frozen=True, slots=True)
class Current:
    """A signed checkpoint of the archive."""

    checkpoint: Checkpoint
    note: bytes
    """As it was signed."""
    log_key: str
    """The verifier key of whoever signed it."""


def current(archive: Path) -> Current:
    """The latest of both copies. DamagedError: neither can be believed. PermissionError."""
    found = [one for law in map(charter.parse, charters(archive)) for one in _signed(archive, law)]
    if not found:
        raise DamagedError(f"archive {archive}: it has no checkpoint that can be believed", "run `nocontact verify`")
    return max(found, key=lambda one: one.checkpoint.size)


def _signed(archive: Path, law: Charter) -> Iterator[Current]:
    for folder in ("log", "log/copy"):
        for key in law.log_keys:
            try:
                note = octets(archive / folder / "checkpoint")
                yield Current(read_checkpoint(note, law.origin, [key]), note, key)
            except PermissionError:
                raise
            except (OSError, ValueError):
                continue


def leaves_under(archive: Path, said: Checkpoint) -> Subtrees:
    """The leaves that a checkpoint signs, from whichever copy has them. DamagedError: neither. PermissionError."""
    for folder in ("log", "log/copy"):
        try:
            leaves = Subtrees(islice(whole_lines(archive / folder / "leaves"), said.size))
        except PermissionError:
            raise
        except OSError:
            continue
        if leaves.size == said.size and leaves.root() == said.root:
            return leaves
    raise DamagedError(f"archive {archive}: its log is not the one that was signed for", "run `nocontact verify`")
