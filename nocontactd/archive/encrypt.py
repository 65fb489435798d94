"""A stream becomes an age file for one recipient, in pieces: no message is ever held whole."""

from collections.abc import Callable, Iterable, Iterator

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive.stash import Stash
from nocontactd.errors import SealError


def encrypt(plaintext: Iterable[bytes], write: Callable[[bytes], None], recipient: str) -> None:
    """Seal a stream to one age recipient, 64 KiB at a time. What `plaintext` or `write` raises goes through."""
    source, sink = _Source(iter(plaintext)), _Sink(write)
    failure: BaseException | None = None
    try:
        pyrage.encrypt_io(source, sink, [pyrage.x25519.Recipient.from_str(recipient)])
    except (pyrage.EncryptError, pyrage.RecipientError, OSError) as problem:
        failure = SealError(f"the archive's record could not be made: {type(problem).__name__}")
    # pyrage turns whatever they raised into a text of its own, and of the last piece to be written into nothing at all.
    if failure := source.stash.failure or sink.stash.failure or failure:
        raise failure from None


class _Source:
    """A file to be read, of pieces of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.stash = Stash()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """As many as are wanted, fewer only at the end: each call comes from another language and costs."""
        if not self._rest:
            self._rest = self._next()
        octets = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        while len(octets) < size and (piece := self._next()):
            missing = size - len(octets)
            octets += piece[:missing]
            self._rest = piece[missing:]
        return octets

    def _next(self) -> memoryview:
        """The next piece that holds anything; an empty one at the end."""
        with self.stash:
            return next((memoryview(piece) for piece in self._pieces if piece), memoryview(b""))


class _Sink:
    """A file to be written."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.stash = Stash()
        self._write = write

    def write(self, data: bytes) -> int:
        with self.stash:
            self._write(data)
        return len(data)

    def flush(self) -> None: ...
