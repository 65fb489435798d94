"""What opens, for how long, and how little is told of what does not."""

from collections.abc import Callable
from io import BytesIO

import pyrage
import pytest

from nocontactd.archive import keys, minted
from nocontactd.archive.charter import Charter, parse
from nocontactd.archive.rehearsal import FACT, rehearse
from nocontactd.archive.release import LASTS, Accepted, Release, Request, parse_accepted, parse_release, parse_request
from nocontactd.archive.seal import Archive
from nocontactd.archive.session import Session
from nocontactd.archive.unlock import check_released, identities, locked_keys, pair, released
from nocontactd.archive.unlock import identity as unlocked_identity
from nocontactd.archive.unseal import Opened, Opener, unlock, unlock_released
from nocontactd.errors import BusyError, CredentialError, DamagedError
from tests.archive_fixture import OWNER, THERAPIST, WITNESS, Clock, Made, identity, light, made_archive, noon, seal

__all__ = ["made_archive"]


class Scrypt:
    """Opens what a passphrase locks, and counts how often that was tried."""

    def __init__(self) -> None:
        self.tried: list[bytes] = []

    def __call__(self, locked: bytes, phrase: str) -> bytes:
        self.tried.append(locked)
        return bytes(pyrage.passphrase.decrypt(locked, phrase))


SWAPPED = " ".join([*THERAPIST.split()[1::-1], *THERAPIST.split()[2:]])
WRONG = {
    "both wrong": ("x", "y"),
    "the owner's wrong": ("x", THERAPIST),
    "the therapist's wrong": (OWNER, "y"),
    "two words of the card swapped": (OWNER, SWAPPED),
    "mixed up": (THERAPIST, OWNER),
    "the owner twice": (OWNER, OWNER),
    "the witness's card": (OWNER, WITNESS),
}


@pytest.mark.parametrize("spoilt", ["", "holders", "keys/copy"], ids=["sound", "first copy", "second copy"])
def test_neither_the_words_nor_the_work_tell_which_of_two_secrets_was_wrong(made_archive: Made, spoilt: str) -> None:
    """As much scrypt for each wrong pair as for the right one, and one sentence for all of them."""
    for role in ("owner", "therapist") if spoilt else ():
        (made_archive.path / spoilt / f"{role}.age").write_bytes(b"rotten")
    right = Scrypt()
    pair(made_archive.path, owner=OWNER, therapist=THERAPIST, witness=None, decrypt=right)
    said = set()
    for owner, therapist in WRONG.values():
        scrypt = Scrypt()
        with pytest.raises(CredentialError) as told:
            pair(made_archive.path, owner=owner, therapist=therapist, witness=None, decrypt=scrypt)
        assert scrypt.tried == right.tried
        said.add((told.value.message, told.value.hint, told.value.exit_code))
    [(message, hint, code)] = said
    assert "do not open the archive together; nothing was opened" in message
    assert "in their own place" in hint
    assert "order of a card's words" in hint
    assert code == 77


def test_a_machine_that_is_too_busy_says_so_and_never_that_the_passphrase_is_wrong() -> None:
    """age guesses the time that the work will take; here it is a quarter of an hour at the least."""
    locked = light(b"AGE-SECRET-KEY-1", "right").replace(b" 10\n", b" 30\n", 1)
    for phrase in ("right", "wrong"):
        with pytest.raises(BusyError, match="too busy, or too slow") as told:
            unlocked_identity([locked], phrase)
        assert (told.value.exit_code, bool(told.value.hint)) == (75, True)


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "act",
    [
        lambda opener: list(opener.messages(["2026-11-22"])),
        lambda opener: opener.message("2026-11-22/000001"),
        lambda opener: opener.day_keys("2026-11-22"),
        lambda opener: opener.originals("2026-11-22/000001", lambda _name: BytesIO()),
    ],
    ids=["messages", "message", "day keys", "originals"],
)
def test_a_session_that_has_ended_opens_nothing_more(made_archive: Made, act: Callable[[Opener], object]) -> None:
    """Not even what it had open a moment ago; and it forgets what it would take."""
    seal(made_archive.sealer(), [b"one"])
    clock = Time()
    opener = unlock(made_archive.path, owner=OWNER, therapist=THERAPIST, witness=None, session=Session(60, clock))
    act(opener)
    clock.now += 59.9
    act(opener)
    assert 0 < opener.session.left() < 1
    clock.now += 0.1
    for _ in range(2):
        with pytest.raises(CredentialError, match="this session has ended; nothing more was opened") as told:
            act(opener)
        assert (told.value.exit_code, bool(told.value.hint)) == (77, True)
        clock.now -= 60  # a clock that goes back does not bring it back
    unlocked = opener._unlocked
    assert (unlocked._owner, unlocked._second, unlocked._keys) == ([], [], {})


def test_a_session_can_be_ended_before_its_time(made_archive: Made) -> None:
    seal(made_archive.sealer(), [b"one"])
    opener = made_archive.opener()
    assert opener.session.left() > 3600
    opener.forget()
    with pytest.raises(CredentialError, match="has ended"):
        list(opener.messages(["2026-11-22"]))


def request(made: Made, *days: str, origin: str = "here", role: str = "therapist") -> Request:
    found = {name: locked for name, locked in locked_keys(made.path) if name[:10] in days}
    return Request(origin, role, b"locked", tuple(sorted(found.items())))


def three_days(made: Made) -> None:
    clock = Clock()
    sealer = made.sealer(clock)
    for number in range(3):
        seal(sealer, [b"day %d" % number], number + 1)
        clock.next_day()
    sealer.close()


def test_released_days_open_for_the_owner_and_no_others_do(made_archive: Made) -> None:
    three_days(made_archive)
    asked = parse_request(request(made_archive, "2026-11-23").dump())
    assert asked.days == ("2026-11-23",)
    release = parse_release(released(asked, identity("therapist")).dump())
    assert release.request == asked.name
    check_released(made_archive.path, release, identity("owner"))
    opener = unlock_released(made_archive.path, owner=OWNER, release=release)
    assert opener.days() == ("2026-11-23",)
    items = [item for item in opener.messages(opener.days()) if isinstance(item, Opened) and item.kind == "message"]
    assert [item.original for item in items] == [b"day 1"]
    for day in ("2026-11-22", "2026-11-24"):
        for act in (lambda day=day: list(opener.messages([day])), lambda day=day: opener.day_keys(day)):
            with pytest.raises(CredentialError, match="was not released; nothing of it was opened"):
                act()
    assert list(opener.messages(["2020-01-01"])) == []
    for phrase in (THERAPIST, "x", "", None):
        with pytest.raises(CredentialError, match="not the owner's passphrase"):
            unlock_released(made_archive.path, owner=phrase, release=release)


def test_a_request_and_a_release_are_small_and_open_nothing_on_the_way(made_archive: Made) -> None:
    """Three days: about 3 KB out, 2 KB back, in plain ASCII; what is inside needs the owner still."""
    three_days(made_archive)
    asked = request(made_archive, "2026-11-22", "2026-11-23", "2026-11-24")
    back = released(asked, identity("witness"))
    assert len(asked.dump()) < 4000
    assert len(back.dump()) < 2500
    assert asked.dump().isascii()
    assert back.dump().isascii()
    others = [pyrage.x25519.Identity.from_str(identity(role)) for role in ("therapist", "witness")]
    for _name, inner in back.keys:
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(inner, others)


def test_a_key_that_does_not_fit_releases_nothing(made_archive: Made) -> None:
    three_days(made_archive)
    with pytest.raises(CredentialError, match="does not open the days of this request; nothing was released"):
        released(request(made_archive, "2026-11-22"), identity("owner"))


def test_what_was_exchanged_on_the_way_is_not_accepted(made_archive: Made) -> None:
    three_days(made_archive)
    good = released(request(made_archive, "2026-11-22", "2026-11-23"), identity("therapist"))
    (first, one), (second, two) = good.keys
    law_owner = pyrage.x25519.Identity.from_str(identity("owner")).to_public()
    strange = pyrage.encrypt(str(pyrage.x25519.Identity.generate()).encode(), [law_owner])
    for keys_ in (
        ((first, two), (second, one)),
        ((first, one[:-1] + bytes([one[-1] ^ 1])),),
        ((first, strange),),
        (("2026-12-24", one),),
        ((first, pyrage.encrypt(b"no key", [law_owner])),),
    ):
        with pytest.raises(DamagedError, match="not the key of this day; nothing was accepted"):
            check_released(made_archive.path, Release("here", "x", keys_), identity("owner"))


@pytest.mark.parametrize("read", [parse_request, parse_release], ids=["request", "release"])
@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff", b'"x"', b'{"format": "nocontactd-request/1"}', b"x" * (9 << 20)),
        b'{"format": "nocontactd-release/1", "origin": "o", "request": "r", "keys": {}}',
        b'{"format": "nocontactd-release/1", "origin": "o", "request": "r", "keys": {"2026-11-22": "?"}}',
        b'{"format": "nocontactd-release/1", "origin": "o", "request": "r", "keys": {"../etc": "AAAA"}}',
        b'{"format": "nocontactd-request/1", "origin": "o", "role": "owner", "holder": "", "keys": {"2026-11-22": ""}}',
    ],
    ids=lambda data: str(data[:60]),
)
def test_anything_else_is_refused_and_never_a_traceback(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(DamagedError, match=r"nothing was (released|accepted)"):
        read(data)


@pytest.mark.parametrize("gone", ["log/leaves", "log/copy/leaves", "log/checkpoint"])
def test_what_was_released_is_held_against_whichever_copy_of_the_log_is_sound(made_archive: Made, gone: str) -> None:
    three_days(made_archive)
    release = released(request(made_archive, "2026-11-22"), identity("therapist"))
    (made_archive.path / gone).unlink()
    check_released(made_archive.path, release, identity("owner"))


@pytest.mark.parametrize("alter", [lambda log: log[:-9], lambda log: log.replace(b"key/", b"kex/"), lambda _: b""])
def test_without_a_log_that_was_signed_nothing_is_accepted(made_archive: Made, alter: Callable[[bytes], bytes]) -> None:
    three_days(made_archive)
    release = released(request(made_archive, "2026-11-22"), identity("therapist"))
    for copy in ("log/leaves", "log/copy/leaves"):
        (made_archive.path / copy).write_bytes(alter((made_archive.path / copy).read_bytes()))
    with pytest.raises(DamagedError, match="nothing was accepted"):
        check_released(made_archive.path, release, identity("owner"))


def test_released_days_count_for_a_day_and_for_this_archive(made_archive: Made) -> None:
    three_days(made_archive)
    release = released(request(made_archive, "2026-11-22"), identity("therapist"))
    accepted = parse_accepted(Accepted(release, noon() + LASTS).dump())
    assert accepted.usable("here", noon()) == release
    assert accepted.usable("here", noon() + LASTS * 0.99) == release
    for when in (noon() + LASTS, noon() + LASTS * 2, noon() - LASTS):
        with pytest.raises(CredentialError, match="time of the released days is over") as told:
            accepted.usable("here", when)
        assert told.value.exit_code == 77
    with pytest.raises(CredentialError, match="another archive"):
        accepted.usable("elsewhere", noon())
    with pytest.raises(DamagedError):
        parse_accepted(accepted.dump().replace("until", "from"))


def test_the_rehearsal_shows_who_opens_and_who_does_not(made_archive: Made) -> None:
    archive = made_archive.archive()
    archive.enter("keys", (FACT,))
    archive.close()
    holders = {role: identity(role) for role in ("owner", "therapist", "witness")}
    attempts = list(rehearse(made_archive.path, "2026-11-22", holders))
    assert {(attempt.who, attempt.opened) for attempt in attempts} == {
        (("owner", "therapist"), True),
        (("owner", "witness"), True),
        (("owner",), False),
        (("therapist", "witness"), False),
    }
    assert all(attempt.right for attempt in attempts)


@pytest.mark.parametrize("weak", ["owner", "others"])
def test_the_rehearsal_notices_both_layers_made_with_one_key(made_archive: Made, weak: str) -> None:
    """A program that makes day keys wrongly does not come through the ceremony."""

    def mint(law: Charter) -> tuple[str, bytes]:
        owner, others = (law.owner, [law.owner]) if weak == "owner" else (law.therapist, law.others)
        return keys.mint(owner, others)

    archive = Archive(made_archive.path, made_archive.log_key, noon, mint=mint)
    archive.enter("keys", (FACT,))
    archive.close()
    holders = {role: identity(role) for role in ("owner", "therapist", "witness")}
    assert not all(attempt.right for attempt in rehearse(made_archive.path, "2026-11-22", holders))


def test_a_day_key_never_comes_out_of_this_process(made_archive: Made) -> None:
    """Many at once, each with its own private half."""
    law = parse((made_archive.path / "archive.json").read_bytes())
    made = minted.minted(made_archive.path, law, 5)
    assert len({key.recipient for key in made}) == 5
    for key in made:
        inner = pyrage.decrypt(key.locked, [pyrage.x25519.Identity.from_str(identity("witness"))])
        plain = pyrage.decrypt(inner, [pyrage.x25519.Identity.from_str(identity("owner"))])
        assert key.recipient in plain.decode()


def test_an_unknown_role_is_not_in_the_archive(made_archive: Made) -> None:
    with pytest.raises(CredentialError, match="is not in it; nothing was opened"):
        identities(made_archive.path, {"owner-recovery": "x"})
