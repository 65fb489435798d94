"""Another therapist, witness or passphrase: whatever dies on the way, the old ones hold the archive or the new ones."""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyrage
import pytest

from nocontactd.archive import holders, keys
from nocontactd.archive.charter import parse
from nocontactd.archive.durable import Disk
from nocontactd.archive.holders import RECOVERY, Holder, create, locked_again
from nocontactd.archive.replace import relock_owner, replace
from nocontactd.archive.unlock import identities, locked_keys, peeled
from nocontactd.archive.unseal import Opened, Opener, unlock
from nocontactd.archive.verify import verify
from nocontactd.errors import CredentialError
from tests import archive_fixture
from tests.archive_fixture import (
    OWNER,
    THERAPIST,
    WITNESS,
    Clock,
    Made,
    contents,
    identity,
    light,
    made_archive,
    memory,
    noon,
    seal,
)
from tests.fuse import Died, Fuse
from tests.powercut import ForgetfulDisk

__all__ = ["made_archive", "memory"]

NEW = "seven other words for the new one"


@dataclass(frozen=True)
class Stranger:
    """A holder made for a test, whose identity is at hand."""

    holder: Holder
    identity: str


def newcomer(role: str = "therapist") -> Stranger:
    holder = create(role, NEW, light)
    return Stranger(holder, pyrage.passphrase.decrypt(holder.locked, NEW).decode().splitlines()[-1])


def days(made: Made, count: int = 3) -> Clock:
    """An archive of so many days, a record each."""
    clock = Clock()
    sealer = made.sealer(clock)
    for number in range(1, count + 1):
        seal(sealer, [b"day %d" % number], number)
        clock.next_day()
    sealer.close()
    return clock


def read(made: Made, second: str) -> int:
    """How many messages the owner and this second identity open."""
    opener = Opener(made.path, identity("owner"), second)
    return sum(isinstance(item, Opened) and item.kind == "message" for item in opener.messages(opener.days()))


@pytest.mark.parametrize("by", ["therapist", "witness"])
def test_a_new_therapist_opens_everything_and_the_old_one_nothing_and_no_message_is_touched(
    made_archive: Made, by: str
) -> None:
    days(made_archive)
    mail = dict(contents(made_archive.path / "mail"))
    inner = {
        peeled(locked, [pyrage.x25519.Identity.from_str(identity("witness"))]) for _n, locked in _keys(made_archive)
    }
    new = newcomer()
    assert replace(made_archive.path, made_archive.log_key, new.holder, identity(by), noon).shut == ()
    assert [read(made_archive, each) for each in (new.identity, identity("witness"), identity("therapist"))] == [
        3,
        3,
        0,
    ]
    assert dict(contents(made_archive.path / "mail")) == mail
    assert inner == {
        peeled(locked, [pyrage.x25519.Identity.from_str(new.identity)]) for _n, locked in _keys(made_archive)
    }
    assert verify(made_archive.path).ok
    law = parse((made_archive.path / "archive.json").read_bytes())
    assert law.therapist == new.holder.recipient
    leaves = made_archive.leaves()
    assert [line.split()[0] for line in leaves if line.endswith("holders:replaced")] == ["archive.json"]
    for name, locked in _keys(made_archive):
        assert any(line.startswith(f"key/{name} {sha256(locked).hexdigest()} ") for line in leaves)
    seal(made_archive.sealer(Clock(noon())), [b"after"], 9)
    assert read(made_archive, new.identity) == 4


def _keys(made: Made) -> list[tuple[str, bytes]]:
    return list(locked_keys(made.path))


def test_the_new_passphrase_is_the_one_that_counts(made_archive: Made) -> None:
    days(made_archive, 1)
    replace(made_archive.path, made_archive.log_key, newcomer().holder, identity("witness"), noon)
    assert unlock(made_archive.path, owner=OWNER, therapist=NEW, witness=None).days()
    with pytest.raises(CredentialError):
        unlock(made_archive.path, owner=OWNER, therapist=THERAPIST, witness=None)


def test_a_witness_can_come_to_an_archive_that_had_none(tmp_path: Path) -> None:
    made = Made(tmp_path / "archive", tmp_path / "log.key")
    keys.make(made.path, made.log_key, "o", "t", None, unattended=True, now=noon, lock=light)
    sealer = made.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    witness = newcomer("witness")
    by = identities(made.path, {"therapist": "t"})["therapist"]
    replace(made.path, made.log_key, witness.holder, by, noon)
    assert len(list(unlock(made.path, owner="o", therapist=None, witness=NEW).messages(["2026-11-22"]))) == 1
    assert unlock(made.path, owner="o", therapist="t", witness=None).days()
    assert verify(made.path).ok


def test_a_running_daemon_seals_to_the_new_holder_from_the_next_day_on(made_archive: Made) -> None:
    clock = Clock()
    sealer = made_archive.sealer(clock)
    seal(sealer, [b"one"])
    new = newcomer()
    replace(made_archive.path, made_archive.log_key, new.holder, identity("therapist"), clock)
    seal(sealer, [b"two"], 2)
    clock.next_day()
    seal(sealer, [b"three"], 3)
    sealer.close()
    assert (read(made_archive, new.identity), read(made_archive, identity("therapist"))) == (3, 0)
    assert verify(made_archive.path).ok


def test_a_key_that_does_not_open_is_named_and_left_and_the_others_go_on(made_archive: Made) -> None:
    days(made_archive)
    spoilt = "2026-11-23"
    for folder in ("keys", "keys/copy"):
        (made_archive.path / folder / f"{spoilt}.key.age").write_bytes(b"rotten")
    new = newcomer()
    done = replace(made_archive.path, made_archive.log_key, new.holder, identity("therapist"), noon)
    assert done.shut == (spoilt,)
    assert read(made_archive, new.identity) == 2


@pytest.mark.parametrize("copies", [["keys"], ["keys/copy"], ["keys", "keys/copy"]], ids="+".join)
def test_a_key_that_somebody_else_put_there_is_never_wrapped(made_archive: Made, copies: list[str]) -> None:
    """It opens for the therapist, but it is not the one that the log knows."""
    days(made_archive, 1)
    law = parse((made_archive.path / "archive.json").read_bytes())
    for folder in copies:
        (made_archive.path / folder / "2026-11-22.key.age").write_bytes(keys.mint(law.therapist, law.others)[1])
    new = newcomer()
    done = replace(made_archive.path, made_archive.log_key, new.holder, identity("therapist"), noon)
    assert (done.shut, read(made_archive, new.identity)) == (((), 1) if len(copies) == 1 else (("2026-11-22",), 0))
    assert verify(made_archive.path).ok == (len(copies) == 1)


def test_the_owner_is_never_replaced(made_archive: Made) -> None:
    with pytest.raises(ValueError, match="never replaced"):
        replace(made_archive.path, made_archive.log_key, newcomer("owner").holder, identity("therapist"), noon)


def _deaths(memory: Path, act: object, after: bool, every: int = 1) -> Iterator[Made]:
    """The archive as each step of `act` (or every fourth) leaves it when the process dies there."""
    whole = archive_fixture.copy(_below(memory, "whole"))
    days(whole, 2)
    fuse = Fuse()
    act(_copied(whole, memory / "count"), fuse.wrap(Disk(), "disk"))  # type: ignore[operator]
    assert fuse.calls > 20
    for at in range(1, fuse.calls + 1, every):
        made = _copied(whole, memory / f"{at}")
        with suppress(Died):
            act(made, Fuse(at, after=after).wrap(Disk(), "disk"))  # type: ignore[operator]
        yield made


def _below(place: Path, name: str) -> Path:
    (place / name).mkdir()
    return place / name


def _copied(made: Made, place: Path) -> Made:
    import shutil

    shutil.copytree(made.path.parent, place)
    return Made(place / "archive", place / "state" / "log.key")


@pytest.mark.parametrize(
    ("after", "finisher"), [(False, "daemon"), (True, "daemon"), (False, "change")], ids=["before", "after", "change"]
)
def test_a_death_at_any_step_leaves_the_old_holder_or_the_new_one_and_never_both(
    memory: Path, after: bool, finisher: str
) -> None:
    new = newcomer()
    seen = set()
    every = 1 if (after, finisher) == (False, "daemon") else 4  # behind one step is before the next
    for made in _deaths(memory, lambda made, disk: _replace(made, disk, new), after, every):
        _finish(made, finisher)
        state = tuple(read(made, each) for each in (identity("therapist"), new.identity))
        law = parse((made.path / "archive.json").read_bytes())
        assert state in ((2, 0), (0, 2))
        assert (law.therapist == new.holder.recipient) == (state == (0, 2))
        held = (made.path / "holders" / "therapist.age").read_bytes() == new.holder.locked
        assert held == (state == (0, 2))
        _sound(made)
        seen.add(state)
    assert seen == {(2, 0), (0, 2)}


def _replace(made: Made, disk: Disk, new: Stranger) -> None:
    replace(made.path, made.log_key, new.holder, identity("witness"), noon, disk)


def _finish(made: Made, by: str) -> None:
    if by == "daemon":
        made.sealer().close()
    else:
        relock_owner(made.path, made.log_key, "owner", (made.path / "holders" / "owner.age").read_bytes(), noon)


def _sound(made: Made) -> None:
    result = verify(made.path)
    assert result.ok, result
    assert list((made.path / "incoming").iterdir()) == []


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))])
def test_a_power_cut_at_any_step_leaves_the_old_holder_or_the_new_one(memory: Path, seed: int) -> None:
    new, chance = newcomer(), random.Random(seed)
    whole = archive_fixture.copy(_below(memory, "whole"))
    days(whole, 2)
    counted = _copied(whole, memory / "counted")
    counting = ForgetfulDisk(counted.path.parent)
    _replace(counted, counting, new)
    for at in range(1, counting.calls + 1):
        made = _copied(whole, memory / f"live-{at}")
        disk = ForgetfulDisk(made.path.parent, at)
        with suppress(Died):
            _replace(made, disk, new)
        place = memory / f"found-{at}"
        disk.survive(place, chance)
        found = Made(place / "archive", place / "state" / "log.key")
        found.sealer().close()
        assert tuple(read(found, each) for each in (identity("therapist"), new.identity)) in ((2, 0), (0, 2))
        _sound(found)


def test_another_passphrase_of_the_owner_changes_one_file_and_nothing_else(made_archive: Made) -> None:
    days(made_archive, 1)
    before = dict(contents(made_archive.path))
    locked = locked_again("owner", identity("owner"), "five other words", light)
    relock_owner(made_archive.path, made_archive.log_key, "owner", locked, noon)
    changed = {name for name, data in contents(made_archive.path) if before.get(name) != data}
    assert {name for name in changed if not name.startswith("log/")} == {"holders/owner.age", "keys/copy/owner.age"}
    assert unlock(made_archive.path, owner="five other words", therapist=None, witness=WITNESS).days()
    with pytest.raises(CredentialError):
        unlock(made_archive.path, owner=OWNER, therapist=None, witness=WITNESS)
    assert verify(made_archive.path).ok


def test_a_death_while_the_owners_passphrase_changes_leaves_one_of_the_two(memory: Path) -> None:
    fresh = locked_again("owner", identity("owner"), "five other words", light)
    seen = set()
    for made in _deaths(
        memory, lambda made, disk: relock_owner(made.path, made.log_key, "owner", fresh, noon, disk), False
    ):
        made.sealer().close()
        found = [phrase for phrase in (OWNER, "five other words") if identities(made.path, {"owner": phrase})]
        assert len(found) == 1
        _sound(made)
        seen.add(found[0])
    assert len(seen) == 2


def test_the_recovery_card_is_the_owners_half_and_opens_nothing_alone(tmp_path: Path) -> None:
    made = Made(tmp_path / "archive", tmp_path / "log.key")
    people = [create("owner", "o", light, recovery="card"), create("therapist", "t", light)]
    keys.found(made.path, made.log_key, people, "attended", noon)
    sealer = made.sealer()
    seal(sealer, [b"one"])
    sealer.close()
    owner = identities(made.path, {RECOVERY: "card"})[RECOVERY]
    assert owner == identities(made.path, {"owner": "o"})["owner"]
    found = list(Opener(made.path, owner, owner).messages(["2026-11-22"]))
    assert not any(isinstance(item, Opened) for item in found)
    assert verify(made.path).ok


def test_only_one_of_three_roles_is_locked_for_a_holder() -> None:
    assert holders.ROLES == ("owner", "therapist", "witness")
    assert create("witness", "w", light).files.keys() == {"holders/witness.age"}
