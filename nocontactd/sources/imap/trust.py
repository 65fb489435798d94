"""Whom a connection trusts. All that trust the same authorities share what was read of them, until these change.

The authorities of a system take a megabyte and 25 ms to read, and a daemon has two connections to each mailbox.
"""

import ssl
from functools import lru_cache
from pathlib import Path


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """What verifies a server by the authorities in this file, or by the system's. OSError: it cannot be read."""
    return _context(ca_file, _as_they_stand(ca_file))


@lru_cache(maxsize=16)
def _context(ca_file: Path | None, _as_they_stand: tuple[tuple[int, ...], ...]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _as_they_stand(ca_file: Path | None) -> tuple[tuple[int, ...], ...]:
    """What tells one state of the authorities' files from another."""
    usual = ssl.get_default_verify_paths()
    places = [ca_file] if ca_file else [place for place in (usual.cafile, usual.capath) if place]
    stats = [Path(place).stat() for place in places]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
