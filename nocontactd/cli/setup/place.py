"""Where an installation lies, and whose it is: root's serves the machine, by a user of its own; else it is one's own.

Nothing that is there already is ever replaced: a file is written aside, made durable, and takes
its name only where that name is free.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nocontactd.cli import main
from nocontactd.errors import NocontactError

PROGRAM = "import sys; from nocontactd.cli import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts go."""

    config: Path
    archive: Path
    """Where it is proposed to lie."""
    state: Path | None = None
    """None: the user's own default."""
    user: str | None = None
    """Whom the daemon runs as; None: whoever sets it up."""


def own(config: Path | None, environ: Mapping[str, str]) -> Place:
    """The place of whoever runs this."""
    home = Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)
    said = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(said) if said.startswith("/") else home / ".config"
    named = environ.get("NOCONTACT_CONFIG")
    file = config or (Path(named) if named else folder / "nocontactd" / "config.yaml")
    return Place(file.absolute(), home / "nocontact-archive")


def system(config: Path | None, user: str = "nocontactd") -> Place:
    """The machine's, as systemd/nocontactd.service has it."""
    state = Path("/var/lib/nocontactd")
    return Place((config or Path("/etc/nocontactd/config.yaml")).absolute(), state / "archive", state, user)


def prepare(place: Place) -> None:
    """The user, where there is to be one, and the folders."""
    if place.user is None:
        place.config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    assert place.state is not None
    try:
        pwd.getpwnam(place.user)
    except KeyError:
        _add(place.user, place.state)
    place.config.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if place.config.parent.stat().st_mode & 0o005 == 0:
        os.chown(place.config.parent, -1, pwd.getpwnam(place.user).pw_gid)
    place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    hand_over(place.state, place.user)


def _add(user: str, home: Path) -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(home)]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", user], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NocontactError(
            f"the user {user} cannot be added; nothing was set up", f"add it yourself: {' '.join(command)} {user}"
        ) from None


def hand_over(path: Path, user: str) -> None:
    """Give a file or folder to the daemon's user."""
    account = pwd.getpwnam(user)
    os.chown(path, account.pw_uid, account.pw_gid)


def put(place: Place, path: Path, text: str, *, secret: bool) -> None:
    """A file, whole and durable; NocontactError: there is one of this name already.

    A secret is the daemon's user's alone. What is none is root's where the daemon has a user of its
    own, which may read it: whoever takes over the daemon cannot unblock anybody.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        aside.unlink()
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if place.user is not None and secret:
            hand_over(aside, place.user)
        elif place.user is not None:
            os.chown(aside, -1, pwd.getpwnam(place.user).pw_gid)
            aside.chmod(0o640)
        os.link(aside, path)  # rename(2) would replace what is there
    except FileExistsError:
        raise NocontactError(
            f"{path}: is there already; it was left as it is", "move it away, and begin anew"
        ) from None
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nocontact(place: Place, *words: str) -> int:
    """Carry out a command of this tool as the daemon's user; its exit code."""
    line = ["--config", str(place.config), *words]
    sys.stdout.flush()
    if place.user is None:
        return main(line)
    account = pwd.getpwnam(place.user)
    kept = {name: os.environ[name] for name in ("PATH", "TERM", "LANG", "LC_ALL") if name in os.environ}
    path = os.pathsep.join(folder for folder in sys.path if folder)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *line],
        env={**kept, "HOME": account.pw_dir, "PYTHONPATH": path},
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    return done.returncode
