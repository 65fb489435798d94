"""What one sealed file holds: read once, front to back, and checked against itself before it counts.

Nothing of it is kept here but the small members that say what it is; whoever asks is given
the others piece by piece, so that the largest message needs no more memory than the smallest.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import BinaryIO

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive.format import (
    AUTH,
    FINAL,
    META,
    Member,
    Meta,
    commitment,
    content_hash,
    read_auth,
    read_final,
    read_meta,
)
from nocontactd.archive.stash import Stash
from nocontactd.archive.ustar import Piece, Reader
from nocontactd.errors import DamagedError

_MOST = 16 * 1024 * 1024
"""meta.json, auth.json and final.json are held in memory; anybody can seal to a public key, so not without a limit."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one record was found to hold."""

    meta: Meta
    members: tuple[Member, ...]
    """Every file before final.json, in order; meta.json is the first."""
    sealed: str
    """SHA-256 (hex) of the sealed file."""
    commitment: str
    """What its leaf must say of its content."""
    authenticated: bool | None
    """Whether its sender is proven; None: nobody looked."""


def read_contents(
    file: BinaryIO, record: str, keys: Collection[pyrage.x25519.Identity], take: Callable[[Piece], None]
) -> Contents:
    """Open one sealed file to its end; `take` is given every piece but those of final.json.

    What was taken is good only when this returns. DamagedError: it is damaged, altered, or another
    record. What `take` raises goes through.
    """
    source, sink = _Source(file), _Sink(take)
    try:
        pyrage.decrypt_io(source, sink, list(keys))
        while source.read(1 << 16):
            pass
        return sink.contents(record, source.digest.hexdigest())
    except (OSError, ValueError, RecursionError, pyrage.DecryptError):
        if sink.stash.failure and not isinstance(sink.stash.failure, ValueError | RecursionError):
            raise sink.stash.failure from None
        raise DamagedError(f"{record}: this record is damaged or altered", "`nocontact verify` says more") from None


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

    def contents(self, record: str, sealed: str) -> Contents:
        """ValueError: it does not agree with itself, or is another record."""
        meta = read_meta(self._small[META])
        members = read_final(self._small[FINAL])
        if not self._reader.ended or tuple(self._members) != members or meta.record != record:
            raise ValueError("not as the format says")
        return Contents(
            meta, members, sealed, commitment(meta.salt, content_hash(members)), read_auth(self._small[AUTH])
        )

    def _piece(self, piece: Piece) -> None:
        if piece.name in self._small:
            self._small[piece.name] += piece.data
            if len(self._small[piece.name]) > _MOST:
                raise ValueError("too large")
        self._digest.update(piece.data)
        if piece.name != FINAL:
            self._take(piece)
        if piece.last and piece.name != FINAL:
            self._members.append(Member(piece.name, piece.size, self._digest.hexdigest()))
        if piece.last:
            self._digest = hashlib.sha256()
