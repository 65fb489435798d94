"""The configuration file as something that changes."""

import os
from pathlib import Path

import pytest

from nocontactd.proposal import Proposal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("one")
    return file


def test_a_file_that_stays_as_it_is_has_not_changed(file: Path) -> None:
    proposal = Proposal(file)
    assert not any(proposal.changed() for _ in range(3))


def test_a_change_is_told_once_and_when_it_has_come_to_rest(file: Path) -> None:
    proposal = Proposal(file)
    file.write_text("two is longer")
    assert not proposal.changed()
    file.write_text("two is longer still")
    assert not proposal.changed()
    assert [proposal.changed() for _ in range(3)] == [True, False, False]


def test_a_change_that_keeps_size_and_time_shows(file: Path) -> None:
    proposal = Proposal(file)
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    proposal.changed()
    assert proposal.changed()


def test_a_file_put_in_its_place_a_mode_and_a_loss_are_changes(file: Path) -> None:
    proposal = Proposal(file)
    (file.parent / "new").write_text("one")
    (file.parent / "new").replace(file)
    assert (proposal.changed(), proposal.changed()) == (False, True)
    file.chmod(0o644)
    assert (proposal.changed(), proposal.changed()) == (False, True)
    file.unlink()
    assert (proposal.changed(), proposal.changed()) == (False, True)
