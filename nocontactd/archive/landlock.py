"""The kernel keeps this process from reading or altering what stands in archive/mail/ (landlock(7), Linux 5.19).

Landlock can only allow, and what it allows for a folder holds for all below it. So everything beside
the way from / to mail/ is allowed, entry by entry, and nothing on that way. What appears later in a
folder on the way itself cannot be read: `hindrance` says where that would stop the daemon, and then
nothing is done. It holds for threads and processes started afterwards: to be called before any is.
"""

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The numbers of the calls, the same on every architecture of Linux but Alpha; the C library has none of them."""
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38
"""PR_SET_NO_NEW_PRIVS of prctl(2); whoever is not root may not restrict itself without."""
_WRITE, _READ, _REFER, _TRUNCATE = 1 << 1, 1 << 2, 1 << 13, 1 << 14
_NEEDED = 2
"""Before this ABI nothing could be renamed from one folder to another, so nothing could be sealed."""
_WITH_TRUNCATE = 3


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def hindrance(archive: Path, needed: Iterable[Path]) -> str | None:
    """Why this process cannot be kept from reading what it seals, in words; None: it can.

    `needed`: files and folders that it must be able to read though they are replaced meanwhile.
    """
    if _abi() < _NEEDED:
        return "this kernel has no Landlock, or one older than Linux 5.19, or it is switched off"
    way = set(_way(archive))
    for path in needed:
        real = Path(os.path.realpath(path))
        if (real if real.is_dir() else real.parent) in way:
            return f"the archive lies in the same folder as {path}: give it a place away from configuration and state"
    return None


def shut(archive: Path) -> None:
    """From now on no file in mail/ can be opened; listing, measuring and adding go on. OSError: it was not done."""
    if threading.active_count() > 1:
        raise OSError(errno.EBUSY, "a thread has started already")  # it would stay as it is
    files = _READ | _WRITE | (_TRUNCATE if _abi() >= _WITH_TRUNCATE else 0)
    handled = _Ruleset(files | _REFER)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    try:
        _allow(ruleset, "/", _REFER)
        for path in _beside(archive):
            _allow(ruleset, path, files)
        _check(_libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _way(archive: Path) -> tuple[Path, ...]:
    """The folders above mail/, from the archive up to the root."""
    return tuple((Path(os.path.realpath(archive)) / "mail").parents)


def _beside(archive: Path) -> Iterator[str]:
    """Every entry of a folder on the way that does not lead to mail/ itself."""
    taken = Path(os.path.realpath(archive)) / "mail"
    for folder in taken.parents:
        with os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.path != str(taken))
        taken = folder


def _allow(ruleset: int, path: str, access: int) -> None:
    """A link leads elsewhere, where it counts by itself; what is gone again or cannot be reached is left out."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(access, fd)), 0)
    finally:
        os.close(fd)


def _abi() -> int:
    """The kernel's version of Landlock; 0: it has none, or does not let us ask."""
    try:
        return _call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def _call(number: int, *words: object) -> int:
    return _check(_libc().syscall(ctypes.c_long(number), *words))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
