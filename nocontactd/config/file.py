"""A file to a `Config`, or a ConfigError that tells every problem in it. Whoever may write it could unblock people."""

import os
import stat
from pathlib import Path

from nocontactd.config.document import MAX_OCTETS, WARNING, Place, Problem, Spoilt, compose
from nocontactd.config.schema import read
from nocontactd.config.sections import Config
from nocontactd.errors import ConfigError

MAX_PROBLEMS = 100

TOO_OPEN = stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
"""Reading by the group stays allowed: the file of a system unit is root's or the owner's, and its daemon's to read."""


def load(path: Path) -> Config:
    """The configuration in a file. ConfigError: all its problems, those of its permissions included."""
    return examine(path)[0]


def examine(path: Path) -> tuple[Config, tuple[str, ...]]:
    """The same, and what its owner should know of it: `FILE:LINE:COL: warning: text`, no value echoed."""
    name = str(path)
    try:
        data, mode = _contents(path)
    except FileNotFoundError:
        raise ConfigError(
            [f"{name}:1:1: there is no configuration here"], "name it with --config; config.example.yaml explains it"
        ) from None
    except OSError as error:
        raise ConfigError([f"{name}:1:1: this cannot be read: {error.strerror}"]) from None
    problems = [Problem(Place(), _open_to(mode))] if mode & TOO_OPEN else []
    return _parse(data, name, path.parent.absolute(), problems)


def parse(text: bytes, name: str, folder: Path | None = None) -> Config:
    """The configuration in the octets of a file; `name` opens each problem, relative paths begin at `folder`."""
    return _parse(text, name, folder or Path(name).parent.absolute(), [])[0]


def _contents(path: Path) -> tuple[bytes, int]:
    """Octets (at most one more than are allowed) and mode, of one opened file: it may be replaced meanwhile."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a file")
        return file.read(MAX_OCTETS + 1), stat.S_IMODE(status.st_mode)


def _open_to(mode: int) -> str:
    who = "others on this machine may" if mode & (stat.S_IROTH | stat.S_IWOTH) else "its group may"
    what = "change" if mode & (stat.S_IWGRP | stat.S_IWOTH) else "read"
    return f"{who} {what} this file: `chmod 600` it (640 where the daemon reads it by its group)"


def _parse(data: bytes, name: str, folder: Path, problems: list[Problem]) -> tuple[Config, tuple[str, ...]]:
    root, found = compose(data)
    problems += found
    config = read(root or Spoilt(Place()), folder, lambda at, text: problems.append(Problem(at, text)))
    errors = [problem for problem in problems if not problem.text.startswith(WARNING)]
    if errors:
        raise ConfigError(_lines(name, errors))
    return config, tuple(_lines(name, problems))


def _lines(name: str, problems: list[Problem]) -> list[str]:
    told = sorted(set(problems))
    lines = [f"{name}:{p.at.line}:{p.at.column}: {p.text}" for p in told[:MAX_PROBLEMS]]
    if len(told) > MAX_PROBLEMS:
        last = told[MAX_PROBLEMS].at
        lines.append(f"{name}:{last.line}:{last.column}: and more problems from here on")
    return lines
