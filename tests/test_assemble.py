"""Config to parts."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd.assemble import ADDED, PUT_BACK, Parts, assemble, policy, reassemble, sources
from nocontactd.config import Config
from nocontactd.errors import BusyError, DamagedError, NoKeysError
from nocontactd.model import Disposition, Kind, Rule
from tests.archive_fixture import seal
from tests.installation import Installation
from tests.peers.dovecot import Dovecot
from tests.test_loosening import CONFIG, HOME, NUMBER


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration whose archive has keys; nothing listens where its sources would be."""
    Installation(tmp_path, Dovecot(tmp_path, 1, 1)).with_keys()
    return replace(CONFIG, archive=tmp_path / "archive")


@contextmanager
def assembled(config: Config) -> Iterator[Parts]:
    with assemble(config, config.archive.parent / "state", {}, now) as parts:
        yield parts


def test_each_section_becomes_a_job(config: Config) -> None:
    with assembled(config) as parts:
        jobs = [(job.name, job.every, job.relay) for job in parts.jobs]
        assert jobs == [("home", 60.0, None), ("number", 60.0, None)]


def test_a_number_with_a_relay_is_both(config: Config) -> None:
    with assembled(replace(config, phone=(replace(NUMBER, relay_to="+1 415 555 0199"),))) as parts:
        assert parts.jobs[1].relay is parts.jobs[1].source


def test_passing_on_begins_when_it_was_asked_for_and_not_with_what_came_before(config: Config) -> None:
    second, third = (datetime(2026, 11, day, tzinfo=UTC) for day in (2, 3))
    with assembled(config) as parts:
        relaying = replace(config, phone=(replace(NUMBER, relay_to="+1 415 555 0199"),))
        reassemble(parts, relaying, {}, lambda: second)
        assert parts.ledger.started("number\nrelay", third) == second
        reassemble(parts, relaying, {}, lambda: third)
        assert parts.ledger.started("number\nrelay", third) == second


def test_a_source_that_did_not_change_stays_the_same_object(config: Config) -> None:
    with assembled(config) as parts:
        changed = replace(config, mail=(replace(HOME, every=1.0),), max_per_pass=7, people=())
        after = reassemble(parts, changed, {}, now)
        assert after.jobs[0].source is not parts.jobs[0].source
        assert after.jobs[1].source is parts.jobs[1].source
        assert (after.policy.max_sweep, after.policy.digest == parts.policy.digest) == (7, False)
        assert after.archive is parts.archive


def test_a_number_goes_by_the_default_region_where_it_names_none(config: Config) -> None:
    national = replace(NUMBER, region=None)
    with assembled(replace(config, phone=(national,))) as parts:
        other = reassemble(parts, replace(config, phone=(national,), region="US"), {}, now)
        assert other.jobs[1].source is not parts.jobs[1].source


def test_an_older_copy_of_the_archive_is_remarked_on(config: Config, tmp_path: Path) -> None:
    shutil.copytree(config.archive, tmp_path / "older")
    with assembled(config) as parts:
        assert not [remark for remark in parts.remarks if remark.startswith(PUT_BACK)]
        parts.archive.enter("coverage", ())
        parts.archive.enter("coverage", ())
    shutil.rmtree(config.archive)
    shutil.copytree(tmp_path / "older", config.archive)
    with assembled(config) as parts:
        assert [remark for remark in parts.remarks if remark.startswith(PUT_BACK)]


def test_records_that_somebody_put_there_are_remarked_on(config: Config) -> None:
    with assembled(config) as parts:
        parts.archive.enter("coverage", ())
    day = max((config.archive / "mail").iterdir())
    (day / "000999.age").write_bytes(b"sealed by somebody")
    with assembled(config) as parts:
        assert [remark for remark in parts.remarks if remark.startswith(ADDED)]


def test_an_authority_for_time_stamps_is_asked_only_where_one_is_configured(config: Config) -> None:
    with assembled(config) as parts:
        assert parts.anchors is not None
        assert reassemble(parts, replace(config, tsa=None), {}, now).anchors is None


def test_whose_signatures_are_checked_follows_the_configuration_at_once(config: Config) -> None:
    with assembled(config) as parts:
        assert parts.examiner is not None
        assert parts.examiner.whose == "providers"
        reassemble(parts, replace(config, dkim="none"), {}, now)
        assert parts.examiner.whose == "none"


def test_what_the_archive_seals_is_examined(config: Config) -> None:
    class Examiner:
        def __init__(self) -> None:
            self.seen: list[bytes] = []

        def examine(self, octets: bytes, size: int, arrived: datetime, now: datetime) -> None:
            self.seen.append(octets)

    with assembled(config) as parts:
        examiner = Examiner()
        assert parts.examiner is not None
        parts.examiner.examine = examiner.examine  # type: ignore[method-assign]
        seal(parts.archive, [b"one", b"two"])
        assert examiner.seen == [b"one", b"two"]


def test_the_archive_is_locked_while_the_parts_are_in_use(config: Config) -> None:
    with assembled(config), pytest.raises(BusyError), assembled(config):
        pass
    with assembled(config):
        pass


def test_an_archive_without_keys_gives_no_parts(config: Config, tmp_path: Path) -> None:
    with pytest.raises(NoKeysError), assembled(replace(config, archive=tmp_path / "none")):
        pass


def test_an_archive_that_was_open_once_is_missed_when_it_is_gone(config: Config, tmp_path: Path) -> None:
    """A disk that is not mounted looks like an archive that was never made."""
    with assembled(config):
        pass
    shutil.move(config.archive, tmp_path / "elsewhere")
    for mount_point in (False, True):
        if mount_point:
            config.archive.mkdir()
        with pytest.raises(DamagedError, match="it is gone") as told, assembled(config):
            pass
        assert (told.value.exit_code, "mounted" in told.value.hint) == (65, True)
    config.archive.rmdir()
    shutil.move(tmp_path / "elsewhere", config.archive)
    with assembled(config):
        pass


def test_a_look_that_changes_nothing_takes_no_lock(config: Config) -> None:
    with assembled(config):
        assert [job.name for job in sources(config, config.archive.parent, {}, now)] == ["home", "number"]


def test_a_policy_is_told_by_what_decides(config: Config) -> None:
    other = replace(config, max_per_pass=1)
    entries = replace(config, people=(replace(config.people[0], entries=(Rule(Kind.NAME, "Alex"),)),))
    assert policy(config).digest == policy(other).digest
    assert policy(config).digest != policy(entries).digest
    assert policy(config).digest != policy(replace(config, uncertain=Disposition.PASS)).digest


@pytest.mark.parametrize(("phone", "loaded"), [((), False), ((NUMBER,), True)])
def test_twilio_is_loaded_only_where_a_number_is(config: Config, phone: tuple[object, ...], loaded: bool) -> None:
    """It costs 30 MB and a second."""
    (config.archive.parent / "accepted.json").write_text(_dumped(replace(config, phone=phone)))  # type: ignore[arg-type]
    program = (
        "import sys, pathlib, datetime\n"
        "from nocontactd.assemble import assemble\n"
        "from nocontactd.config import restore\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "config = restore((folder / 'accepted.json').read_text())\n"
        "with assemble(config, folder / 'state', {}, lambda: datetime.datetime.now(datetime.UTC)):\n"
        "    print('twilio' in sys.modules, 'nocontactd.archive.unseal' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(config.archive.parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.stdout.split(), done.stderr) == ([str(loaded), "False"], "")


def _dumped(config: Config) -> str:
    from nocontactd.config import dump

    return dump(config)
