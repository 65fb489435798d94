"""The log as it lies on the disk, read without believing it: which copy is what a signature says?"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nocontactd.archive import charter
from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import PIECE
from nocontactd.archive.leaves import lines
from nocontactd.archive.log import Checkpoint, Leaf, Tree, parse_leaf, read_checkpoint
from nocontactd.archive.regular import octets, opened
from nocontactd.errors import DamagedError, NocontactError, SealError


@contextmanager
def reading(archive: Path, kind: type[NocontactError] = NocontactError) -> Iterator[None]:
    """What this user may not read is no damage: a PermissionError becomes this kind of error, with who may."""
    try:
        yield
    except PermissionError:
        try:
            user = archive.owner()
        except (OSError, KeyError):
            user = "USER"
        raise kind(
            f"archive {archive}: cannot be read by this user; nothing was done",
            f"all of it must belong to the user that the daemon runs as; for you: sudo -u {user} nocontact …",
        ) from None


def listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none. OSError."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass(frozen=True, slots=True)
class History:
    """One copy of log/leaves."""

    size: int
    """Number of its whole lines."""
    torn: bool
    """Something without a newline follows them."""
    roots: dict[int, bytes]
    """The root over the first n lines, for each n that was asked for and is there."""

    def extends(self, checkpoint: Checkpoint) -> bool:
        """Whether this copy is what the checkpoint signed for, and perhaps more."""
        return self.roots.get(checkpoint.size) == checkpoint.root


def read(path: Path, sizes: Collection[int], each: Callable[[int, Leaf | None], None] | None = None) -> History:
    """Read one copy; `each` is called with every line's index and leaf, None for what is no leaf. OSError."""
    tree, roots, torn = Tree(), {}, False
    if 0 in sizes:
        roots[0] = tree.root()
    for line in lines(_pieces(path)):
        if not line.endswith(b"\n"):
            torn = True
            break
        if each:
            each(tree.size, _leaf(line))
        tree.add(line[:-1])
        if tree.size in sizes:
            roots[tree.size] = tree.root()
    return History(tree.size, torn, roots)


def checkpoint(path: Path, law: Charter) -> Checkpoint | None:
    """What this file says, if one of the archive's log keys signed it. PermissionError."""
    try:
        return read_checkpoint(octets(path), law.origin, law.log_keys)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def signed(archive: Path) -> Checkpoint:
    """The latest checkpoint that can be believed. DamagedError: neither copy can. SealError: not for this user."""
    found: list[Checkpoint] = []
    denied: PermissionError | None = None
    for folder in (archive / "log", archive / "log" / "copy"):
        try:
            for data in charters(archive):
                said = checkpoint(folder / "checkpoint", charter.parse(data))
                found += [said] if said else []
        except PermissionError as problem:
            denied = problem
    if denied and not found:
        with reading(archive, SealError):
            raise denied
    if not found:
        raise DamagedError(
            f"archive {archive}: neither copy of its log's checkpoint can be believed; nothing was sealed or removed",
            "run `nocontact verify`; put archive.json and log/ back from a backup",
        )
    return max(found, key=lambda said: said.size)


def charters(archive: Path) -> Iterator[bytes]:
    """Each copy of archive.json that can be read. A third stands in incoming/ where a change of it was interrupted.

    PermissionError: there was one more that this user may not read. It comes after all others.
    """
    denied: PermissionError | None = None
    for folder in (archive, archive / "keys" / "copy", archive / "incoming"):
        try:
            data = octets(folder / charter.NAME)
            charter.parse(data)
        except PermissionError as problem:
            denied = problem
            continue
        except (OSError, ValueError):
            continue
        yield data
    if denied:
        raise denied


def ceremony(archive: Path) -> str:
    """How the key holders came to be, by the log: `attended` (rehearsed by people) or `unattended`. OSError."""
    last = ""
    for line in lines(_pieces(archive / "log" / "leaves")):
        leaf = _leaf(line)
        if leaf and leaf.subject == charter.NAME and leaf.second.startswith("ceremony:"):
            last = leaf.second.removeprefix("ceremony:")
    return last


def whole_lines(path: Path) -> Iterator[bytes]:
    """Each line of one copy of the leaves, without its newline; what is not a whole line is not there. OSError."""
    for line in lines(_pieces(path)):
        if line.endswith(b"\n"):
            yield line[:-1]


def _pieces(path: Path) -> Iterator[bytes]:
    with opened(path) as file:
        while piece := file.read(PIECE):
            yield piece


def _leaf(line: bytes) -> Leaf | None:
    try:
        return parse_leaf(line[:-1].decode("ascii"))
    except ValueError:
        return None
