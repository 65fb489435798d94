"""The log's private key lies in the state directory and may be lost with it: then there is another one.

Sealing never waits for it. The new key is entered in archive.json, and the log says so itself.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from nocontactd.archive.durable import Disk, flush_folder, refusals, write_new
from nocontactd.archive.log import Signer, new_key


class LogKey:
    """The file `log.key`."""

    def __init__(self, path: Path, disk: Disk, entropy: Callable[[int], bytes]) -> None:
        self.path = path
        self._disk = disk
        self._entropy = entropy
        self._signer: Signer | None = None

    def signer(self, origin: str, moment: datetime) -> Signer:
        """The key for the log of this name: the one that is there, else a new one. SealError."""
        if self._signer is None or self._signer.name != origin:
            with refusals(self.path.parent, "state"):
                self._signer = self._found(origin) or self._made(origin, moment)
        return self._signer

    def _found(self, origin: str) -> Signer | None:
        try:
            found = Signer(self.path.read_text("ascii", "replace"))
        except (FileNotFoundError, ValueError):
            return None
        return found if found.name == origin else None

    def _made(self, origin: str, moment: datetime) -> Signer:
        if self.path.exists():  # another archive's, or unreadable: not ours to destroy
            self._disk.rename(self.path, self.path.with_name(f"{self.path.name}.{self._entropy(4).hex()}"))
        written = new_key(origin, self._entropy(32))
        draft = self.path.with_name(self.path.name + ".new")
        write_new(self._disk, draft, f"{written}\n".encode(), moment)
        self._disk.rename(draft, self.path)
        flush_folder(self._disk, self.path.parent)
        return Signer(written)
