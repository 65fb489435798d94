"""What may lag behind a receipt: the second copy of the log, and the checkpoint. Recovery brings them up.

log/checkpoint follows each commit; log/copy/checkpoint only what is durable in both copies, so
that after a power cut one good signature stands, whatever the file system did to the other.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import Disk, flush_folder, put, round_time, write_new
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import Checkpoint, Signer


class Copies:
    """The second copy of the log and both checkpoints of one archive."""

    def __init__(self, archive: Path, disk: Disk) -> None:
        self._log = archive / "log"
        self._incoming = archive / "incoming"
        self._disk = disk
        self.leaves = self._log / "copy" / "leaves"

    def bring_up(self, leaves: Leaves, signer: Signer, origin: str, moment: datetime) -> None:
        """After each commit: nothing is flushed, all of it can be made again. Needs the turn. OSError."""
        self._extend(leaves, moment)
        note = _signed(leaves, signer, origin)
        draft = self._incoming / "checkpoint"
        self._disk.remove(draft)
        fd = self._disk.create(draft)
        try:
            self._disk.write(fd, note)
            round_time(fd, moment)
        finally:
            os.close(fd)
        self._disk.rename(draft, self._log / "checkpoint")

    def settle(self, leaves: Leaves, signer: Signer, origin: str, moment: datetime) -> None:
        """At a start, an end and a new day: both copies and both checkpoints are durable on return. OSError."""
        self._extend(leaves, moment, flush=True)
        note = _signed(leaves, signer, origin)
        for folder in (self._log / "copy", self._log):
            put(self._disk, note, folder / "checkpoint", incoming=self._incoming, moment=moment)

    def rewrite(self, source: Iterator[bytes], target: Path, moment: datetime) -> None:
        """Put a whole copy of the log in the place of a damaged one. OSError."""
        write_new(self._disk, self._incoming / "leaves", b"".join(source), moment)
        self._disk.rename(self._incoming / "leaves", target)
        flush_folder(self._disk, target.parent)

    def _extend(self, leaves: Leaves, moment: datetime, *, flush: bool = False) -> None:
        try:
            fd = os.open(self.leaves, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            fd = self._disk.create(self.leaves)
        try:
            there = os.fstat(fd).st_size
            if there > leaves.octets:
                self._disk.cut(fd, leaves.octets)
            for piece in leaves.read(there):
                self._disk.write(fd, piece, there)
                there += len(piece)
            round_time(fd, moment)
            if flush:
                self._disk.flush(fd, self.leaves)
        finally:
            os.close(fd)


def _signed(leaves: Leaves, signer: Signer, origin: str) -> bytes:
    return signer.sign(Checkpoint(origin, leaves.tree.size, leaves.tree.root()).text()).encode()
