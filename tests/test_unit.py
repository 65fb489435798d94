"""The systemd units: hardened, and without a word that systemd does not know."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers import missing

UNITS = Path(__file__).parents[1] / "systemd"
SYSTEM = UNITS / "nocontactd.service"


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing("systemd-analyze (Debian: systemd)")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)


def installed(unit: Path, folder: Path) -> Path:
    """The unit as it is on a machine where the program is installed."""
    place = folder / "nocontactd.service"
    text = unit.read_text().replace("/usr/bin/nocontactd", "/bin/true")
    place.write_text(text)
    return place


def test_the_system_unit_is_exposed_to_little() -> None:
    done = analyze("security", "--offline=true", "--threshold=15", SYSTEM)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", ["nocontactd.service", "nocontactd-user.service"])
def test_systemd_knows_every_word_of_a_unit(unit: str, tmp_path: Path) -> None:
    """It returns 0 on a misspelt directive, and says so on standard error only."""
    # Also the user unit as a system one: the words are the same, and no user manager need be there to be asked.
    done = analyze("verify", "--system", installed(UNITS / unit, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelt_directive_would_be_found(tmp_path: Path) -> None:
    place = installed(SYSTEM, tmp_path)
    place.write_text(place.read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "NoNewPrivilege" in analyze("verify", "--system", place).stderr


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "User=nocontactd",
        "StateDirectory=nocontactd nocontactd-archive",
        "StateDirectoryMode=0700",
        "LimitCORE=0",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "UMask=0077",
        "#LoadCredential=home:/etc/nocontactd/home.password",
    ],
)
def test_the_system_unit_keeps_its_promises(line: str) -> None:
    assert line in SYSTEM.read_text().splitlines()


def test_the_daemon_may_take_longer_to_end_than_it_gives_its_looks() -> None:
    from nocontactd.service import GRACE

    lines = dict(line.split("=", 1) for line in SYSTEM.read_text().splitlines() if "=" in line and line[0] != "#")
    assert int(lines["TimeoutStopSec"]) > 2 * GRACE
