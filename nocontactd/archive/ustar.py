"""A tar stream (POSIX.1-1988 USTAR), written and read in pieces. Regular files only, plain names. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

BLOCK = 512
END = bytes(2 * BLOCK)
LARGEST = 8**11 - 1
"""Octets in one file: eleven octal digits. 8 GiB; no mail server takes a message near it."""

_AFTER = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + 2 * b"0000000\0" + bytes(155 + 12)
"""What stands in a header behind its checksum: a regular file, of no user's."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


def header(name: str, size: int, mtime: int) -> bytes:
    """The block before a file's octets. ValueError: a name or size that does not fit.

    Names are kept so narrow that nothing unpacked lands outside its folder, on any system.
    """
    before, checksum = _before(name)
    if not 0 <= size <= LARGEST:
        raise ValueError("a part has a size that cannot stand in a record")
    facts = b"%011o\0%011o\0" % (size, mtime)
    return before + facts + b"%06o\0 " % (checksum + sum(facts)) + _AFTER


@lru_cache(16)
def _before(name: str) -> tuple[bytes, int]:
    """What stands in a header before its size, and what that, the checksum itself and what follows add to the checksum.

    Nearly every record has the same few names.
    """
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise ValueError("a part has a name that cannot stand in a record")
    before = name.encode().ljust(100, b"\0") + b"0000600\0" + 2 * b"0000000\0"
    return before, sum(before) + 8 * ord(" ") + sum(_AFTER)


def file(name: str, octets: bytes, mtime: int) -> bytes:
    """A whole file, where its octets are at hand. ValueError as above."""
    return header(name, len(octets), mtime) + octets + padding(len(octets))


def padding(size: int) -> bytes:
    """The zeros after `size` octets of a file."""
    return bytes(-size % BLOCK)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some octets of one file, in order; the last piece of a file says so."""

    name: str
    size: int
    """Of the whole file."""
    data: bytes
    last: bool


class Reader:
    """Takes a stream as it comes and gives its files piece by piece, never holding more than a block."""

    def __init__(self) -> None:
        self.ended = False
        """The end mark was read; whatever follows is padding."""
        self._block = b""
        self._name = ""
        self._size = 0
        self._left = 0
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that `data` completes. ValueError: this is no such stream."""
        view = memoryview(data)
        while view and not self.ended:
            if self._left:
                taken, view = view[: self._left], view[self._left :]
                self._left -= len(taken)
                yield Piece(self._name, self._size, bytes(taken), not self._left)
            elif self._skip:
                skipped = min(self._skip, len(view))
                view = view[skipped:]
                self._skip -= skipped
            else:
                missing = BLOCK - len(self._block)
                self._block += bytes(view[:missing])
                view = view[missing:]
                if len(self._block) == BLOCK:
                    yield from self._begin(self._block)
                    self._block = b""

    def _begin(self, block: bytes) -> Iterator[Piece]:
        if block == bytes(BLOCK):
            self.ended = True
            return
        self._name, self._size = _read_header(block)
        self._left, self._skip = self._size, -self._size % BLOCK
        if not self._size:
            yield Piece(self._name, 0, b"", True)


def _read_header(block: bytes) -> tuple[str, int]:
    try:
        name = block[:100].rstrip(b"\0").decode("ascii")
        size = int(block[124:135], 8)
        whole = header(name, size, int(block[136:147], 8)) == block
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("not a record's tar stream")
    return name, size
