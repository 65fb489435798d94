"""What a reader takes for a listed address, and what is simply somebody else (docs/adr/0004-lookalikes.md)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.address import comparable, folded
from nocontactd.decide import Reason
from nocontactd.lookalike import SHORTEST, disguises, near, skeleton
from nocontactd.model import Disposition
from nocontactd.rules import skeleton_of
from tests.recognition import blocked, verdict

DISGUISES = [
    ("ex@abuser.example", "ех@abuser.example", "Cyrillic letters"),
    ("ex@abuser.example", "εx@abuser.example", "a Greek letter"),
    ("ex@abuser.example", "ex@аbuser.example", "a Cyrillic letter in the domain"),
    ("ex@abuser.example", "ex@xn--buser-3ve.example", "the same as an A-label"),
    ("ex@abuser.example", "ex@äbuser.example", "a mark above"),
    ("alex@abuser.example", "aIex@abuser.example", "a capital I"),
    ("alex@abuser.example", "a1ex@abuser.example", "a digit one"),
    ("tom@abuser.example", "t0m@abuser.example", "a digit nought"),
    ("marta@abuser.example", "rnarta@abuser.example", "rn for m"),
    ("alex.example@x.example", "alexexample@x.example", "a dot left out"),
    ("alex.example@x.example", "alex_example@x.example", "another separator"),
    ("alex.example@x.example", "alex.example1@x.example", "a digit added"),
    ("alex.example1@x.example", "alex.example@x.example", "a digit left out"),
    ("alex.example@x.example", "al3x.example@x.example", "a digit for a letter"),
    ("alex.example@x.example", "alex.exmaple@x.example", "two letters swapped"),
    ("alex.example@x.example", "alex.exxample@x.example", "a letter doubled"),
    ("alex.example@x.example", "alex.exmple@x.example", "a letter left out"),
    ("alex.example@x.example", "alex.exanple@x.example", "a letter replaced"),
    ("alexexample@gmail.com", "alex.exam.pel@gmail.com", "swapped, at Gmail"),
]
OTHERS = [
    ("ex@abuser.example", "ex2@abuser.example"),
    ("ex@abuser.example", "e.x@abuser.example"),
    ("ex@abuser.example", "lex@abuser.example"),
    ("ex@abuser.example", "alex@abuser.example"),
    ("alex@abuser.example", "alexa@abuser.example"),
    ("alex@abuser.example", "lex@abuser.example"),
    ("alex@abuser.example", "alec@abuser.example"),
    ("maria.rossi@x.example", "mario.rossi@x.example"),
    ("daniel@x.example", "daniela@x.example"),
    ("helen.smith@x.example", "ellen.smith@x.example"),
    ("j.smith@x.example", "b.smith@x.example"),
    ("anders.andersen@x.example", "anders.anderson@x.example"),
    ("martin@x.example", "marvin@x.example"),
    ("joanna@x.example", "johanna@x.example"),
    ("maria@x.example", "maria3@x.example"),
    ("erika@x.example", "erik4@x.example"),
    ("sarah4@x.example", "sara14@x.example"),
    ("user123@x.example", "user124@x.example"),
    ("user12@x.example", "user123@x.example"),
    ("alan.jones@x.example", "allan.jones@x.example"),
    ("amy.jones@x.example", "may.jones@x.example"),
    ("ex@abuser.example", "ex@abusers.example"),
    ("alex.example@x.example", "alex.exmaple@y.example"),
    ("100010@x.example", "100011@x.example"),
    ("michael@x.example", "michel@x.example"),
    ("peter.hoffman@x.example", "peter.hoffmann@x.example"),
    ("n.andersson@x.example", "n.anderson@x.example"),
    ("saralee@x.example", "sarahlee@x.example"),
    ("snielsen@x.example", "snilsen@x.example"),
    ("alexander@x.example", "alexandre@x.example"),
    ("t.petersen@x.example", "t.pedersen@x.example"),
    ("veronica@x.example", "veronika@x.example"),
    ("a.thompson@x.example", "a.thomson@x.example"),
]


@pytest.mark.parametrize(("listed", "seen", "how"), DISGUISES, ids=[how for *_, how in DISGUISES])
def test_a_disguise_is_held(listed: str, seen: str, how: str) -> None:
    found = verdict(f"From: {seen}\r\n\r\n".encode(), blocked(listed))
    assert (found.disposition, found.reason, found.rule) == (Disposition.HOLD, Reason.LOOK_ALIKE, listed), how


@pytest.mark.parametrize(("listed", "seen"), OTHERS)
def test_somebody_elses_name_is_no_disguise(listed: str, seen: str) -> None:
    assert verdict(f"From: {seen}\r\n\r\n".encode(), blocked(listed)).disposition is Disposition.PASS


LOCAL = st.text("abeim.-_017", min_size=1, max_size=10)


@given(LOCAL, LOCAL)
def test_a_disguise_is_one_whoever_disguises_and_is_found_by_a_shared_key(one: str, other: str) -> None:
    if (disguises(one, other) and len(one) == len(other) + 1) or _swaps(one, other):
        assert set(near(one)) & set(near(other))


def _swaps(one: str, other: str) -> bool:
    return len(one) == len(other) >= SHORTEST and any(
        one[:at] + one[at : at + 2][::-1] + one[at + 2 :] == other for at in range(len(one) - 1)
    )


@given(st.text(max_size=30))
def test_any_text_looks_like_itself_in_any_case_but_an_inner_capital_i(text: str) -> None:
    assert skeleton(text.replace("I", "i").lower()) == skeleton(skeleton(text.replace("I", "i").lower()))


@given(LOCAL, LOCAL)
def test_two_mailboxes_between_which_one_edit_lies_have_an_end_in_common(one: str, other: str) -> None:
    if disguises(one, other):
        assert one[:2] == other[:2] or one[-2:] == other[-2:]


PLAIN = st.text("abnrvI01.2|", max_size=8)


@given(PLAIN, PLAIN)
def test_the_short_way_to_what_an_address_looks_like_is_as_good_as_the_long_one(local: str, host: str) -> None:
    address = f"{local}@{host}"
    key = comparable(address)
    mailbox, _, domain = key.rpartition("@")
    written = local if folded(local) == mailbox else mailbox
    assert skeleton_of(address, key) == f"{skeleton(written)}@{skeleton(domain)}"
