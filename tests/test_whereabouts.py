"""Where archives stood: one that is gone is missed, and one that was never there is not."""

from pathlib import Path

import pytest

from nocontactd import whereabouts
from nocontactd.errors import DamagedError, NoKeysError, SealError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "archive"


def test_where_nothing_ever_stood_there_are_no_keys_yet(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(NoKeysError, match="no key holders yet"):
        whereabouts.look(tmp_path / "state", archive)
    assert whereabouts.never(tmp_path / "state", archive)
    assert list(tmp_path.iterdir()) == [], "a look writes nothing"


def test_one_that_stood_there_is_missed_and_another_path_is_not(archive: Path, tmp_path: Path) -> None:
    whereabouts.note(tmp_path / "state", archive)
    with pytest.raises(DamagedError, match="it is gone"):
        whereabouts.look(tmp_path / "state", archive)
    assert not whereabouts.never(tmp_path / "state", archive)
    assert whereabouts.never(tmp_path / "state", archive.with_name("other"))


def test_a_ceremony_that_was_broken_off_has_made_no_archive(archive: Path, tmp_path: Path) -> None:
    for folder in ("keys/copy", "mail", "log/copy"):
        (archive / folder).mkdir(parents=True)
    assert whereabouts.never(tmp_path / "state", archive)


def test_in_doubt_there_was_one(archive: Path, tmp_path: Path) -> None:
    archive.parent.mkdir()
    archive.symlink_to("x" * 300)  # a name too long to be looked up, even for root
    with pytest.raises(SealError):
        whereabouts.look(tmp_path / "state", archive)
    assert not whereabouts.never(tmp_path / "state", archive)


def test_what_is_remembered_is_for_its_user_alone_and_names_no_path(archive: Path, tmp_path: Path) -> None:
    whereabouts.note(tmp_path / "state", archive)
    whereabouts.note(tmp_path / "state", archive)
    [mark] = (tmp_path / "state").iterdir()
    assert (mark.stat().st_mode & 0o777, mark.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "disk" not in mark.name
