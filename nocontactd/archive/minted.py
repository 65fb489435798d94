"""New day keys come out of a process of their own that ends at once: who asks for one never held its private half."""

import base64
import binascii
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nocontactd.archive.charter import Charter
from nocontactd.errors import SealError

_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_PATIENCE = 60.0
"""Seconds for the process to start; it needs about a tenth of one."""
_EACH = 0.1
"""Seconds for a key; it needs about a thousandth of one."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A day key of which nobody knows the private half."""

    recipient: str
    locked: bytes
    """The identity, locked so that it takes the owner and one of the others."""


def minted(archive: Path, law: Charter, count: int = 1) -> list[Minted]:
    """So many new keys for the holders of this archive. SealError: none could be made."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "nocontactd.archive.mint", str(count)],
            input="\n".join((law.owner, *law.others)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],  # where -m looks first: this very package
            timeout=_PATIENCE + _EACH * count,
            check=True,
        )
        keys = [_read(line) for line in child.stdout.decode("ascii").splitlines()]
    except (OSError, ValueError, subprocess.SubprocessError):
        keys = []
    if len(keys) != count:
        raise SealError(
            f"archive {archive}: no key could be made for the day; nothing was sealed or removed",
            "can this user start `python -m nocontactd.archive.mint`? the next pass tries again",
        )
    return keys


def _read(line: str) -> Minted:
    """ValueError: it is not what that process says."""
    recipient, _space, text = line.partition(" ")
    try:
        locked = base64.b64decode(text, validate=True)
    except binascii.Error:
        locked = b""
    if not _RECIPIENT.fullmatch(recipient) or not locked.startswith(b"age-encryption"):
        raise ValueError("not a key")
    return Minted(recipient, locked)
