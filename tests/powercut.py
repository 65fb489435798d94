"""A disk that forgets: after a power cut only what was flushed is sure, and anything else may or may not be there.

Of a file, what was written since its last flush may be there, or not, or up to some octet, or as
zeros. Of a folder, the changes of names since its last flush may be there up to any one of them.
That is what POSIX allows; real file systems are kinder.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from nocontactd.archive.durable import Disk
from tests.fuse import Died


@dataclass(eq=False)
class Node:
    """A file, whatever it is called."""

    durable: bytes = b""
    present: bytes = b""


@dataclass(eq=False)
class Folder:
    """A folder, which here is never renamed: what it durably holds, and what was done to it since."""

    durable: dict[str, "Node | Folder"] = field(default_factory=dict)
    since: list[tuple[str, "Node | Folder | None"]] = field(default_factory=list)

    def present(self) -> "dict[str, Node | Folder]":
        return self.after(len(self.since))

    def after(self, changes: int) -> "dict[str, Node | Folder]":
        state = dict(self.durable)
        for name, thing in self.since[:changes]:
            if thing is None:
                state.pop(name, None)
            else:
                state[name] = thing
        return state


class ForgetfulDisk(Disk):
    """A real disk that dies at its `at`-th call; `survive` builds a state in which it may then be found."""

    def __init__(self, root: Path, at: int = 0, leave_out: Callable[[Path], bool] = lambda _path: False) -> None:
        """`leave_out`: flushes of these paths are not done, as in a program that forgot them."""
        self.calls = 0
        self._root = root
        self._at = at
        self._leave_out = leave_out
        self._tree = _read(root)

    def create(self, path: Path) -> int:
        self._call()
        fd = super().create(path)
        self._folder(path.parent).since.append((path.name, Node()))
        return fd

    def write(self, fd: int, data: bytes, offset: int | None = None) -> None:
        self._call()
        super().write(fd, data, offset)
        node = self._node(fd)
        start = len(node.present) if offset is None else offset
        node.present = node.present[:start] + bytes(data) + node.present[start + len(data) :]

    def cut(self, fd: int, size: int) -> None:
        self._call()
        super().cut(fd, size)
        node = self._node(fd)
        node.present = node.present[:size]

    def flush(self, fd: int, path: Path, *, data_only: bool = False) -> None:
        self._call()
        thing = self._find(path)
        if self._leave_out(path):
            return
        if isinstance(thing, Node):
            thing.durable = thing.present
        else:
            thing.durable = thing.present()
            thing.since.clear()

    def rename(self, source: Path, target: Path) -> None:
        self._call()
        super().rename(source, target)
        self._folder(target.parent).since.append((target.name, self._find(source)))
        self._folder(source.parent).since.append((source.name, None))

    def make_folder(self, path: Path) -> None:
        self._call()
        if not path.exists():
            super().make_folder(path)
            self._folder(path.parent).since.append((path.name, Folder()))

    def remove(self, path: Path) -> None:
        self._call()
        if path.exists():
            super().remove(path)
            self._folder(path.parent).since.append((path.name, None))

    def survive(self, place: Path, random: Random) -> None:
        """Build at `place` one of the allowed states."""
        _write(self._tree, place, random)

    def _call(self) -> None:
        self.calls += 1
        if self._at and self.calls >= self._at:
            raise Died

    def _find(self, path: Path) -> "Node | Folder":
        thing: Node | Folder = self._tree
        for name in path.relative_to(self._root).parts:
            assert isinstance(thing, Folder)
            thing = thing.present()[name]
        return thing

    def _folder(self, path: Path) -> Folder:
        thing = self._find(path)
        assert isinstance(thing, Folder)
        return thing

    def _node(self, fd: int) -> Node:
        thing = self._find(Path(f"/proc/self/fd/{fd}").readlink())
        assert isinstance(thing, Node)
        return thing


def _read(path: Path) -> Folder:
    folder = Folder()
    for entry in path.iterdir():
        data = b"" if entry.is_dir() else entry.read_bytes()
        folder.durable[entry.name] = _read(entry) if entry.is_dir() else Node(data, data)
    return folder


def _write(folder: Folder, place: Path, random: Random) -> None:
    place.mkdir(mode=0o700)
    for name, thing in folder.after(random.randint(0, len(folder.since))).items():
        if isinstance(thing, Folder):
            _write(thing, place / name, random)
        else:
            (place / name).write_bytes(_found(thing, random))


def _found(node: Node, random: Random) -> bytes:
    if node.durable == node.present:
        return node.durable
    if not node.present.startswith(node.durable):  # written over, within one sector, or shortened
        return random.choice([node.durable, node.present])
    torn = random.randint(len(node.durable), len(node.present))
    zeros = bytes(len(node.present) - torn)
    return random.choice([node.durable, node.present, node.present[:torn], node.present[:torn] + zeros])
