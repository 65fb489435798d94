"""A checkpoint kept outside the archive, on paper or by a witness, alone tells a rewritten history from a true one.

On paper it is short enough to be typed or scanned again, and what was mistyped is told from what
was altered. Pure.
"""

import hashlib
import re
from dataclasses import dataclass

from nocontactd.archive.log import Checkpoint, read_checkpoint, split_note

_HEX = "0-9a-foil"
"""As read: a hexadecimal digit is never o, i or l, so these are 0, 1 and 1."""
_PRINTED = re.compile(rf"of\s+(\S+)\s+leaves\s+(\d{{1,18}})\s+root\s([{_HEX}\s]+?)\scheck\s([{_HEX}\s]+)")


@dataclass(frozen=True, slots=True)
class Kept:
    """One checkpoint from outside."""

    checkpoint: Checkpoint
    note: bytes | None
    """As it was signed; None: it was read from paper, which vouches by itself."""

    def of(self, origin: str, log_keys: tuple[str, ...]) -> bool:
        """Whether it is of the log of this name, and signed by it if it was signed."""
        if self.note is None:
            return self.checkpoint.origin == origin
        try:
            return read_checkpoint(self.note, origin, log_keys) == self.checkpoint
        except ValueError:
            return False


def printed(checkpoint: Checkpoint) -> str:
    """Seven short lines for paper."""
    digits, check = checkpoint.root.hex(), _check(checkpoint)
    groups = [digits[at : at + 4] for at in range(0, len(digits), 4)]
    root = "\n         ".join(" ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))
    lines = (f"of       {checkpoint.origin}", f"leaves   {checkpoint.size}", f"root     {root}")
    return "\n".join((*lines, f"check    {check[:4]} {check[4:]}", ""))


def kept(data: bytes) -> Kept:
    """A printed or a signed one, with whatever stands around it on paper. ValueError: neither, or mistyped."""
    try:
        return Kept(split_note(data)[0], data)
    except ValueError:
        found = _PRINTED.search(data.decode("utf-8", "replace").casefold())
    if not found:
        raise ValueError("no checkpoint")
    origin, size, root, check = found.groups()
    digits = _digits(root)
    if len(digits) != 2 * hashlib.sha256().digest_size:
        raise ValueError("mistyped")
    checkpoint = Checkpoint(origin, int(size), bytes.fromhex(digits))
    if _check(checkpoint) != _digits(check)[:8]:
        raise ValueError("mistyped")
    return Kept(checkpoint, None)


def _digits(read: str) -> str:
    return re.sub(r"\s", "", read).translate(str.maketrans("oil", "011"))


def _check(checkpoint: Checkpoint) -> str:
    return hashlib.sha256(checkpoint.text().encode()).hexdigest()[:8]
