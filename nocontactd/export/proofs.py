"""What proves one message to somebody who has no key and is shown no other.

The leaf holds a commitment to the hashes of the message and of what was recorded at its arrival; the
path leads from the leaf to the root; the checkpoint is signed. check.py, which goes with it, follows it.
"""

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.contents import Contents
from nocontactd.archive.history import charters, listed, reading
from nocontactd.archive.log import RECORD, Checkpoint, read_checkpoint
from nocontactd.archive.proof import Subtrees, consistency, inclusion
from nocontactd.archive.regular import octets, opened
from nocontactd.errors import DamagedError

FORMAT = "nocontactd-proof/1"
EXTENDS = "nocontactd-consistency/1"
_NOTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.note")
"""Names that SHA256SUMS can hold as they are: whoever can write to the disk can put a sound note there under any."""
_COPIES = ("log", "log/copy")


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint as it lies in the archive, and who signed it."""

    note: str
    key: str
    """The verifier key, as archive.json lists it."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint that was shown to somebody outside, and what proves that the log went on from it."""

    name: str
    note: bytes
    stamp: bytes | None
    """The RFC 3161 response to the note; None: there is only the note."""
    extends: bytes
    """JSON: the consistency proof."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A line of the log, and where it stands."""

    index: int
    line: str


class Proofs:
    """The log of an archive, as far as its last checkpoint; asked for the proofs of some records."""

    def __init__(self, archive: Path, records: Collection[str]) -> None:
        """DamagedError: no copy of the log is what a checkpoint signs. NocontactError: not for this user to read."""
        with reading(archive):
            self.signed = _latest(archive)
            self._leaves, self._tree = _tree(archive, self.signed.checkpoint, records)
            self._anchors = sorted(_anchors(archive), key=lambda anchor: anchor[1].checkpoint.size)

    def leaf(self, record: str) -> Leaf | None:
        """None: it is not in the log, or behind its last checkpoint."""
        return self._leaves.get(record)

    def of(self, record: str, contents: Contents) -> bytes | None:
        """The proof of one record, JSON; None: it was never acknowledged, or no checkpoint is signed for it yet."""
        leaf = self.leaf(record)
        if leaf is None or leaf.line.endswith(" -"):
            return None
        proof = {
            "format": FORMAT,
            "record": record,
            "index": leaf.index,
            "leaf": leaf.line,
            "salt": contents.meta.salt,
            "members": [f"{member.sha256}  {member.name}" for member in contents.members],
            "path": _base64(inclusion(self._tree, leaf.index)),
            "checkpoint": self.signed.note,
            "key": self.signed.key,
        }
        return json.dumps(proof, indent=1).encode() + b"\n"

    def anchors(self, records: Collection[str]) -> tuple[Anchor, ...]:
        """Of each of these records the earliest checkpoint after it that was time-stamped, and that was not.

        What has no time-stamp was countersigned by a witness, or only kept. DamagedError: one of them
        is of another history than the log.
        """
        places = [leaf.index for leaf in map(self.leaf, records) if leaf]
        wanted: list[tuple[str, Signed, bytes | None]] = []
        for kind in ([one for one in self._anchors if one[2]], [one for one in self._anchors if not one[2]]):
            bounds = [said.checkpoint.size for _, said, _ in kind]
            earliest = {bisect_right(bounds, place) for place in places}  # n leaves are those up to place n - 1
            wanted += [one for at, one in enumerate(kind) if at in earliest]
        return tuple(self._anchor(*one) for one in wanted)

    def _anchor(self, name: str, said: Signed, stamp: bytes | None) -> Anchor:
        size, whole = said.checkpoint.size, self._tree.size
        if size > whole or self._tree.root(0, size) != said.checkpoint.root:
            raise DamagedError(
                f"log/anchors/{name}.note: the log is not a continuation of what was anchored; no proof was made",
                "the archive was rolled back or rewritten: `nocontact verify` says more",
            )
        path = _base64(consistency(self._tree, size))
        extends = {"format": EXTENDS, "first": size, "second": whole, "path": path}
        return Anchor(name, said.note.encode(), stamp, json.dumps(extends, indent=1).encode() + b"\n")


def _latest(archive: Path) -> Signed:
    said = [found for folder in _COPIES if (found := _signed(archive, _read(archive / folder / "checkpoint")))]
    if not said:
        raise DamagedError(
            f"archive {archive}: no checkpoint of its log is signed; nothing can be proven, and nothing was written",
            "`nocontact verify` says more; `nocontact review --originals DIR` writes messages without proofs",
        )
    return max(said, key=lambda one: one.checkpoint.size)


def _signed(archive: Path, note: bytes) -> Signed | None:
    for law in map(charter.parse, charters(archive)):
        for key in law.log_keys:
            try:
                return Signed(note.decode(), key, read_checkpoint(note, law.origin, [key]))
            except ValueError:
                continue
    return None


def _tree(archive: Path, checkpoint: Checkpoint, records: Collection[str]) -> tuple[dict[str, Leaf], Subtrees]:
    """From whichever copy of the log is the one that was signed."""
    wanted = set(records)
    for folder in _COPIES:
        found: dict[str, Leaf] = {}
        try:
            tree = Subtrees(_lines(archive / folder / "leaves", checkpoint.size, wanted, found))
        except PermissionError:
            raise
        except OSError:
            continue
        if tree.size == checkpoint.size and tree.root() == checkpoint.root:
            return found, tree
    raise DamagedError(
        f"archive {archive}: neither copy of its log is what was signed; nothing can be proven or was written",
        "`nocontact verify` says more; `nocontact review --originals DIR` writes messages without proofs",
    )


def _lines(path: Path, count: int, wanted: set[str], found: dict[str, Leaf]) -> Iterator[bytes]:
    """The first leaves of a copy; those that are wanted are noted, of each record its first."""
    with opened(path) as file:
        for index, line in enumerate(islice(file, count)):
            leaf = line.removesuffix(b"\n")
            name = leaf.partition(b" ")[0].decode("ascii", "replace")
            if name in wanted and RECORD.fullmatch(name) and name not in found:
                found[name] = Leaf(index, leaf.decode("ascii", "replace"))
            yield leaf


def _anchors(archive: Path) -> Iterator[tuple[str, Signed, bytes | None]]:
    """What lies there and is signed: name, checkpoint, time-stamp. What is not is for `verify` to name."""
    for path in sorted(listed(archive / "log" / "anchors")):
        said = _signed(archive, _read(path)) if _NOTE.fullmatch(path.name) else None
        if said:
            yield path.stem, said, _read(path.with_suffix(".tsr")) or None


def _read(path: Path) -> bytes:
    """b"" where there is nothing to be read. PermissionError."""
    try:
        return octets(path)
    except PermissionError:
        raise
    except OSError:
        return b""


def _base64(hashes: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(one).decode() for one in hashes]
