"""The systemd unit: the one of this distribution, for this program and this configuration; one that is there stays.

Where systemd does not run nothing is installed, and the owner is told what to start.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from nocontactd.cli.setup.place import Place
from nocontactd.errors import NocontactError

NAME = "nocontactd.service"
BOOTED = Path("/run/systemd/system")
"""sd_booted(3)."""
UNITS = Path("/etc/systemd/system")
HIDDEN = ("/home", "/root", "/run/user")
"""What ProtectHome=yes hides from the system unit."""


def program() -> Path:
    """The daemon beside this tool."""
    beside = Path(sys.executable).parent / "nocontactd"
    found = shutil.which("nocontactd")
    return beside if beside.exists() or not found else Path(found)


def look(place: Place) -> None:
    """NocontactError: no unit could run this program."""
    if place.user is not None and str(program()).startswith(HIDDEN):
        raise NocontactError(
            f"{program()}: lies where the system unit cannot see it (ProtectHome); nothing was set up",
            "install nocontactd below /opt or /usr/local, and run nocontact setup again",
        )


def install(place: Place, archive: Path, environ: Mapping[str, str], target: Path | None = None) -> Path:
    """Write the unit, if there is none, have it started now and at each boot; where it stands."""
    target = target or _target(place, environ)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_text(place, archive), encoding="utf-8")
        target.chmod(0o644)
    scope = ["--user"] if place.user is None else []
    for words in (["daemon-reload"], ["enable", "--now", NAME]):
        _run("systemctl", *scope, *words, hint=f"systemctl {' '.join([*scope, 'status', NAME])}")
    if place.user is None:
        _run("loginctl", "enable-linger", hint="loginctl enable-linger, or the daemon ends with your last login")
    return target


def _target(place: Place, environ: Mapping[str, str]) -> Path:
    if place.user is not None:
        return UNITS / NAME
    said = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(said) if said.startswith("/") else Path(environ.get("HOME", "~")).expanduser() / ".config"
    return folder / "systemd/user" / NAME


def _text(place: Place, archive: Path) -> str:
    name = "nocontactd-user.service" if place.user is None else NAME
    command = f"ExecStart={_quoted(program())} --config {_quoted(place.config)}"
    lines = [command if line.startswith("ExecStart=") else line for line in _shipped(name).splitlines()]
    if place.state is not None and place.state not in archive.parents:
        lines.insert(lines.index(command) + 1, f"ReadWritePaths={_quoted(archive)}")
    return "\n".join(lines) + "\n"


def _shipped(name: str) -> str:
    package = Path(__file__).parents[2]
    for folder in (package / "data/systemd", package.parent / "systemd"):  # installed, or a checkout
        if (folder / name).exists():
            return (folder / name).read_text(encoding="utf-8")
    raise NocontactError(f"{name}: is not part of this installation; no unit was installed")


def _quoted(path: Path) -> str:
    """systemd.syntax(7): quotes, backslashes and specifiers."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def _run(*command: str, hint: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    except (OSError, subprocess.CalledProcessError):
        raise NocontactError(f"`{' '.join(command)}` failed; the daemon may not be running", hint) from None
