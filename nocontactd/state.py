"""The state directory: where it is, who may use it, and how a file in it is replaced.

A file is whole or as it was before; only the daemon's user reads it; one process at a time
changes it. Which state a configuration uses is remembered outside that configuration, because
one that lost its `state:` must not find a state in which nobody is listed yet.
"""

import fcntl
import os
import pwd
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from nocontactd.errors import BusyError, SealError

ACCEPTED = "accepted.json"
PATIENCE = 1.0
"""Seconds: `status` and `poll` take the lock for a moment to see whether somebody holds it."""


def config_file(said: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration: as said, else NOCONTACT_CONFIG, else the user's own if there is one, else /etc."""
    if said is not None:
        return said.absolute()
    if environ.get("NOCONTACT_CONFIG"):
        return Path(environ["NOCONTACT_CONFIG"]).absolute()
    own = _own(environ, "XDG_CONFIG_HOME", ".config") / "config.yaml"
    return own if own.exists() else Path("/etc/nocontactd/config.yaml")


def place(config: Path, said: Path | None, environ: Mapping[str, str]) -> Path:
    """The state directory in use: the remembered one while rules are kept there, else as `said`, else the default."""
    for default in default_places(environ):
        remembered = read(_pointer(default, config))
        if remembered and (Path(remembered.strip()) / ACCEPTED).exists():
            return Path(remembered.strip())
    return place_said(said, environ)


def place_said(said: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the state would be by the configuration alone."""
    return said.absolute() if said else default_places(environ)[0]


def remember(config: Path, state: Path, environ: Mapping[str, str]) -> bool:
    """Note which state this configuration uses, in every default place that can be written; whether there was one."""
    noted = False
    for default in default_places(environ):
        pointer = _pointer(default, config)
        with suppress(OSError, SealError):
            if read(pointer) != f"{state}\n":
                directory(pointer.parent)
                write(pointer, f"{state}\n")
            noted = True
    return noted


def directory(path: Path) -> None:
    """Make a directory that only its owner enters. SealError: it cannot be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as problem:
        raise SealError(f"{path}: cannot be made or kept private ({problem.strerror}); nothing was done") from None


def read(path: Path) -> str | None:
    """The text of a file, None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def write(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace a file: whoever reads it sees the old text or the new. SealError: it stays as it was."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        fresh.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as problem:
        with suppress(OSError):
            fresh.unlink()
        raise SealError(f"{path}: cannot be written ({problem.strerror}); it was left as it was") from None


def owner_root_is_not(path: Path) -> str | None:
    """Whose this is, where root is at work on what is not root's: files it left there would lock their user out."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return None
    if os.geteuid() != 0 or owner == 0:
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"#{owner}"


@contextmanager
def lock(state: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Be the one that changes this state, as long as the context lasts. BusyError after `patience` s, SealError."""
    if owner := owner_root_is_not(state):
        raise SealError(
            f"{state}: belongs to the user {owner}; nothing was done", f"run this as that user: sudo -u {owner} …"
        )
    directory(state)
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + patience
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{state}: another process is at work on this state; nothing was done",
                    "is the daemon running already? see `nocontact status`",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def held(state: Path) -> bool:
    """Whether a process holds the lock, so that a daemon (or a `poll`) is at work."""
    try:
        descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock if it is free. It belongs to this open file, and ends with it or with the process."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def default_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a state lies when nobody says so, best first.

    systemd tells the daemon its StateDirectory=, but not the owner who runs `sudo -u nocontactd
    nocontact status`: so both places are looked at.
    """
    told = environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd.exec(5): several are separated by colons
    own = _own(environ, "XDG_STATE_HOME", ".local/state")
    return (Path(told), own) if told else (own,)


def _own(environ: Mapping[str, str], variable: str, below: str) -> Path:
    """This program's folder in one of the user's, as the XDG Base Directory specification has it."""
    said = environ.get(variable, "")
    home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    return (Path(said) if said.startswith("/") else Path(home) / below) / "nocontactd"


def _pointer(default: Path, config: Path) -> Path:
    return default / "where" / sha256(os.fsencode(config.absolute())).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
