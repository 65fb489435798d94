"""A ceremony that dies at any step goes on, and an archive is there only when it was made and tried whole."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from nocontactd.archive.ceremony import Ceremony
from nocontactd.archive.durable import Disk
from nocontactd.archive.history import ceremony
from nocontactd.archive.holders import Holder, create
from nocontactd.archive.keys import mint
from nocontactd.archive.presence import expect
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import unlock
from nocontactd.archive.verify import verify
from nocontactd.errors import DamagedError, NoKeysError, SealError
from tests.archive_fixture import light, memory, noon
from tests.fuse import Died, Fuse

__all__ = ["memory"]

OWNER = create("owner", "o", light, recovery="card")
THERAPIST = create("therapist", "t", light)


def hold(place: Path, disk: Disk | None = None) -> None:
    """A whole ceremony, as `keys init` holds it; it goes on with what is there."""
    held = Ceremony(place / "archive", noon, disk)
    if not held.moving:
        held.expect_room()
        people = [_person(held, holder) for holder in (OWNER, THERAPIST)]
        held.make(place / "log.key", people)
        sealer = Archive(held.archive, place / "log.key", noon, disk, mint=lambda law: mint(law.owner, law.others))
        sealer.enter("keys", (("rehearsal", "a test record"),))
        sealer.close()
    held.finish()


def _person(held: Ceremony, holder: Holder) -> Holder:
    known = held.holder(holder.role)
    if known != holder:
        held.keep(holder)
    return holder


def is_there(place: Path) -> bool:
    try:
        expect(place / "archive")
    except (NoKeysError, DamagedError):
        return False
    return True


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_step_is_gone_on_from_and_nothing_half_made_is_there(memory: Path, after: bool) -> None:
    (memory / "count").mkdir()
    fuse = Fuse()
    hold(memory / "count", fuse.wrap(Disk(), "disk"))
    assert fuse.calls > 60
    for at in range(1, fuse.calls + 1, 1 if not after else 4):
        place = memory / str(at)
        place.mkdir()
        with suppress(Died):
            hold(place, Fuse(at, after=after).wrap(Disk(), "disk"))
        if is_there(place):
            assert _complete(place / "archive"), at
        if (place / "archive" / "ceremony").exists() or not is_there(place):
            hold(place)
        assert _complete(place / "archive")
        assert not (place / "archive" / "ceremony").exists()
        assert verify(place / "archive").ok
        assert (place / "archive" / "holders" / "owner-recovery.age").read_bytes() == OWNER.recovery
    assert unlock(place / "archive", owner="o", therapist="t", witness=None).days() == ("2026-11-22",)
    assert ceremony(place / "archive") == "attended"


def _complete(archive: Path) -> bool:
    """With the second copy of archive.json everything else is there, too."""
    needed = ("holders/owner.age", "log/leaves", "mail/2026-11-22/*.age", "keys/copy/archive.json", "README.txt")
    return all(any(archive.glob(name)) for name in needed)


def test_a_half_written_holder_does_not_count(memory: Path) -> None:
    held = Ceremony(memory / "archive", noon)
    fuse = Fuse()
    Ceremony(memory / "count", noon, fuse.wrap(Disk(), "disk")).keep(OWNER)
    for at in range(1, fuse.calls + 1):
        shutil.rmtree(memory / "archive", ignore_errors=True)
        with suppress(Died):
            Ceremony(memory / "archive", noon, Fuse(at).wrap(Disk(), "disk")).keep(OWNER)
        found = held.holder("owner")
        assert found is None or (found.locked, found.recovery) in ((OWNER.locked, b""), (OWNER.locked, OWNER.recovery))


def test_who_has_lost_what_they_chose_chooses_anew(memory: Path) -> None:
    held = Ceremony(memory / "archive", noon)
    held.keep(OWNER)
    other = create("owner", "another", light)
    held.keep(other)
    assert held.holder("owner") == other, "nor does the recovery card of the first open the second"
    held.forget("owner")
    assert held.holder("owner") is None


def test_a_ceremony_makes_no_archive_where_something_else_is(memory: Path) -> None:
    (memory / "archive").mkdir()
    (memory / "archive" / "photo.jpg").touch()
    with pytest.raises(SealError, match="not empty; nothing was changed"):
        Ceremony(memory / "archive", noon).expect_room()
    assert [path.name for path in (memory / "archive").iterdir()] == ["photo.jpg"]
