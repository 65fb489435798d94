"""An address as a mark: the same for the same address, and of no use to whoever has not the key.

HMAC-SHA256 under 32 random octets that lie in a file of their own, so that a copy of the ledger
alone cannot be searched for addresses.
"""

import hmac
import os
from pathlib import Path

KEY = "familiar.key"
"""The file, in the state directory."""
_OCTETS = 32


def mark(key: bytes, address: str) -> bytes:
    """The mark of an address in comparable form: 32 octets."""
    return hmac.digest(key, address.encode("utf-8", "surrogatepass"), "sha256")


def read(path: Path) -> bytes | None:
    """The key; None where there is none, or one cut short. OSError."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == _OCTETS else None


def make(path: Path) -> bytes:
    """A new key: whole, on the disk and only for its owner to read before it is ever used. OSError."""
    key = os.urandom(_OCTETS)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    return key
