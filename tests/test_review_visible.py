"""What a stranger wrote cannot act on the screen of whoever reads it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.review.visible import visible, visible_lines

ACTS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]52;c;ZXZpbA==\x07", r"\x1b]52;c;ZXZpbA==\x07"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("nice\u202egpj.exe", r"nice\u202egpj.exe"),
        ("a\r\nBcc: b", r"a\r\nBcc: b"),
        ("two\u2028lines", r"two\u2028lines"),
        ("hid\u200bden", r"hid\u200bden"),
        ("half \ud83d", r"half \ud83d"),
        ("\x00\x7f", r"\x00\x7f"),
        ("\U000e0041tag", r"\U000e0041tag"),
    ],
)
def test_what_acts_is_written_out(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown


@pytest.mark.parametrize("text", ["Grüße, José", "שלום", "привет", "日本語", "❤ 🙂", "it's 100 % \\ fine"])
def test_what_is_read_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_is_cut_says_so() -> None:
    assert visible("abcdef", 3) == "abc […]"
    assert visible("abc", 3) == "abc"


def test_a_body_keeps_its_lines_and_nothing_else_that_moves_the_cursor() -> None:
    assert visible_lines("one\r\ntwo\n\tthree\rfour\x0b", 100) == ["one", "two", r"    three\rfour\x0b"]


def test_a_long_body_is_cut_and_says_so() -> None:
    assert visible_lines("x" * 50, 10) == ["x" * 10, "[…]"]


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp", "L", "N"])))
def test_no_text_at_all_lets_anything_through_that_acts(text: str) -> None:
    for line in (visible(text), *visible_lines(text, 1000)):
        assert not {unicodedata.category(character) for character in line} & ACTS
