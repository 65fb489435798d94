"""Proofs over the log's tree (RFC 6962, section 2.1): this leaf is in it; this later tree begins with that earlier one.

A check needs no leaf but its own and believes nothing: a path of any length and octets either leads
to the root or is refused. Pure. Hashes are 32 octets; a leaf is a line of log/leaves without its newline.
"""

import hashlib
from collections.abc import Iterable, Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """MTH of one leaf."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """MTH of two subtrees side by side."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Subtrees:
    """The hash of every whole subtree over some leaves: made once (about 100 octets a leaf), asked for many proofs."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        level = [leaf_hash(leaf) for leaf in leaves]
        self.size = len(level)
        self._levels = [level]
        while len(level) > 1:
            level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(level)

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        """MTH of the leaves from start to end, which begin where a subtree of that size may. IndexError."""
        end = self.size if end is None else end
        if not start <= end <= self.size:
            raise IndexError("not that many leaves")
        count = end - start
        if not count:
            return hashlib.sha256().digest()
        height = count.bit_length() - 1
        if count == 1 << height:
            return self._levels[height][start >> height]
        return node_hash(self.root(start, start + (1 << height)), self.root(start + (1 << height), end))


def inclusion(leaves: Subtrees, index: int, size: int | None = None) -> tuple[bytes, ...]:
    """What proves that leaf `index` is in the tree of the first `size` (else all) leaves. IndexError."""
    start, end = 0, leaves.size if size is None else size
    if not 0 <= index < end <= leaves.size:
        raise IndexError("no such leaf in that tree")
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _left(end - start)
        if index < middle:
            path.append(leaves.root(middle, end))
            end = middle
        else:
            path.append(leaves.root(start, middle))
            start = middle
    return tuple(reversed(path))


def consistency(leaves: Subtrees, first: int, second: int | None = None) -> tuple[bytes, ...]:
    """What proves that the tree of `second` (else all) leaves begins with that of the first `first`. IndexError."""
    start, end = 0, leaves.size if second is None else second
    if not 0 <= first <= end <= leaves.size:
        raise IndexError("no such trees")
    path: list[bytes] = []
    while 0 < first < end:
        middle = start + _left(end - start)
        if first <= middle:
            path.append(leaves.root(middle, end))
            end = middle
        else:
            path.append(leaves.root(start, middle))
            start = middle
    if start:  # the whole first tree, where it is one subtree, the asker knows
        path.append(leaves.root(start, end))
    return tuple(reversed(path))


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves this leaf, at this index, in the tree of this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf_hash(leaf)
    for step in path:
        if not last:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            at, last = _up(at, last)
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return not last and found == root


def check_consistency(first: int, second: int, path: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Whether the path proves that the tree `second`, `new` begins with `first`, `old` (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not path and (old == new if first else old == hashlib.sha256().digest())
    steps = [old, *path] if first & (first - 1) == 0 else list(path)
    if not steps:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    then = now = steps[0]
    for step in steps[1:]:
        if not last:
            return False
        if at & 1 or at == last:
            then, now = node_hash(step, then), node_hash(step, now)
            at, last = _up(at, last)
        else:
            now = node_hash(now, step)
        at, last = at >> 1, last >> 1
    return not last and (then, now) == (old, new)


def _left(count: int) -> int:
    """How many of `count` leaves, at least two, are in the left subtree: the largest power of two below it."""
    return 1 << ((count - 1).bit_length() - 1)


def _up(at: int, last: int) -> tuple[int, int]:
    """A node that has no sibling on its right is its parent, too."""
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last
