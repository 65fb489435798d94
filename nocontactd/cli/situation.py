"""Where a command finds the rules in force and the state. Read only: nothing is made, accepted or locked here.

Under the system unit both belong to a user of its own. Whoever is somebody else is told so,
instead of being shown a state that is not the daemon's.
"""

import os
import pwd
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from nocontactd import in_force, state
from nocontactd.cli import as_service_user
from nocontactd.errors import ConfigError, NocontactError
from nocontactd.in_force import InForce

SYSTEM = Path("/etc/nocontactd/config.yaml")
DAEMON = "nocontactd"
"""The user of systemd/nocontactd.service."""


def text(parser: ArgumentParser, words: str) -> None:
    """The manual of a command, printed as it is written."""
    parser.description = words
    parser.formatter_class = RawDescriptionHelpFormatter


def now() -> datetime:
    """The clock of the shell."""
    return datetime.now(UTC)


def config_file(args: Namespace) -> Path:
    """The configuration that was named or found; it need not be there."""
    return state.config_file(args.config, os.environ)


def place(args: Namespace) -> Path:
    """The state directory in use, whether or not the configuration can be read. NocontactError: somebody else's."""
    file = config_file(args)
    found = in_force.locate(file, os.environ)
    if belongs_to_another(file, found, os.getuid(), pwd.getpwnam):
        raise NocontactError(f"{file}: its state belongs to the user {DAEMON}; nothing was done", as_service_user())
    if owner := state.owner_root_is_not(found):
        raise NocontactError(
            f"{found}: this state belongs to the user {owner}; nothing was done", as_service_user(owner)
        )
    if _denied(file) and not found.exists():
        raise ConfigError([f"{file}:1:1: this cannot be read: permission denied"], as_service_user())
    return found


def load(args: Namespace) -> InForce:
    """The rules in force. ConfigError, NocontactError, PermissionError."""
    try:
        rules = in_force.load(config_file(args), os.environ, now())
    except ConfigError as problem:
        if _denied(config_file(args)):
            raise ConfigError(problem.problems, as_service_user()) from None
        raise
    place(args)
    return rules


def belongs_to_another(file: Path, found: Path, uid: int, named: Callable[[str], pwd.struct_passwd]) -> bool:
    """Whether this is the system unit's configuration, looked at by a user who has no state with it."""
    if file != SYSTEM or found.exists():
        return False
    try:
        return named(DAEMON).pw_uid != uid
    except KeyError:
        return False


def _denied(file: Path) -> bool:
    """Whether the file is there, but not for this user."""
    try:
        file.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(file, os.R_OK)
