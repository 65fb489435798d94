"""BODYSTRUCTURE as servers give it, as they should not, and as somebody may have made it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.mime import MOST_PARTS
from nocontactd.sources.imap.fetch_answers import Raw, Token, read_answers
from nocontactd.sources.imap.structure import Section, sections

CALENDAR = b'("text" "calendar" ("charset" "utf-8") NIL NIL "BASE64" 33 2)'
TEXT = b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7bit" 5 1 NIL NIL NIL NIL)'
RFC822 = (
    b'("message" "rfc822" NIL NIL NIL "7bit" 4 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (%b "mixed") 4)' % CALENDAR
)


def parts(*raw: Raw) -> list[tuple[str, str, str]]:
    return [(part.number, part.kind, part.name) for part in read(*raw)]


def read(*raw: Raw) -> tuple[Section, ...]:
    (answer,) = read_answers(raw)
    return sections(answer.structure)


def structure(text: bytes) -> bytes:
    return b"1 (UID 5 BODYSTRUCTURE " + text + b")"


def ics(text: bytes) -> bytes:
    return structure(b'("application" "octet-stream" %b)' % text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (CALENDAR, ["1"]),
        (b"(%b%b NIL)" % (TEXT, CALENDAR), ["1", "2"]),
        (b'((%b%b "alternative" NIL NIL NIL NIL)%b "mixed" ("boundary" "x") NIL NIL NIL)' % (TEXT, CALENDAR, TEXT),
         ["1.1", "1.2", "2"]),
        (b'(%b%b%b "mixed")' % (TEXT, RFC822, CALENDAR), ["1", "3"]),
        (RFC822, []),
        (b"NIL", []),
        (b"()", []),
        (b'("text")', []),
        (b'(NIL "mixed" NIL)', ["1"]),
        (b'("text" "calendar")', ["1"]),
        (b'("multipart" "mixed")', []),
        (b'"text"', []),
        (b'(("text" ("calendar")) "mixed")', ["1"]),
        (b"(%b)" % (b"(" * 200 + b")" * 200), []),
        (b"(%b%b)" % (b"(" * 200 + b")" * 200, CALENDAR), ["2"]),
    ],
)  # fmt: skip
def test_parts_are_counted_as_the_server_counts_them(text: bytes, numbers: list[str]) -> None:
    assert [number for number, _, _ in parts(structure(text))] == numbers


def test_a_part_says_what_it_is_and_how_it_is_written() -> None:
    assert read(structure(CALENDAR)) == (Section("1", "text/calendar", "base64", "utf-8", "", attached=False),)


@pytest.mark.parametrize(
    "text",
    [
        b'("name" "x.ics") NIL NIL "base64" 4',
        b'("name*0" "x" "name*1" ".ics") NIL NIL "base64" 4 NIL NIL NIL NIL',
        b'("name*" "utf-8\'\'x%2Eics") NIL NIL "base64" 4 NIL NIL NIL NIL',
        b'("NAME" "=?utf-8?b?eC5pY3M=?=") NIL NIL "base64" 4',
        b'NIL NIL NIL "base64" 4 NIL ("ATTACHMENT" ("FILENAME" "x.ics")) NIL NIL',
        b'NIL NIL NIL "base64" 4 1 NIL ("inline" ("size" "3" "filename" "x.ics")) ("en" "de") "x.txt"',
        b'("name" "x.txt") NIL NIL "base64" 4 NIL ("attachment" ("filename" "x.ics")) NIL NIL',
        b'NIL NIL NIL "base64" 4 NIL "attachment; filename=x.ics" NIL NIL',
    ],
)
def test_a_file_name_is_found_wherever_it_stands(text: bytes) -> None:
    assert [name for _, _, name in parts(ics(text))] == ["x.ics"]


def test_a_file_name_that_needs_a_literal_or_a_backslash_is_read() -> None:
    before = b'1 (UID 5 BODYSTRUCTURE ("application" "x" ("name" {9}'
    assert parts((before, b'a\r\n"b.ics'), b') NIL NIL "7bit" 3))')[0][2].endswith('"b.ics')
    assert parts(ics(b'("name" "a\\"b\\\\c.ics") NIL NIL "7bit" 3'))[0][2] == 'a"b\\c.ics'


@pytest.mark.parametrize(
    ("text", "attached"),
    [(b'("attachment" NIL)', True), (b'("inline" NIL)', False), (b'("Attachment" ())', True), (b"NIL", False)],
)
def test_what_is_to_be_saved_says_so(text: bytes, attached: bool) -> None:
    assert [part.attached for part in read(structure(b'("text" "plain" NIL NIL NIL "7bit" 3 1 NIL %b)' % text))] == [
        attached
    ]


def test_an_answer_that_cannot_be_read_costs_no_other() -> None:
    good = structure(CALENDAR)
    torn = b'2 (UID 6 BODYSTRUCTURE ("text" "plain" ("name" "a"b") NIL))'
    answers = [(b'2 (UID 6 BODYSTRUCTURE ("a" {3}', b"abc"), b' "))']
    found = list(read_answers([good, torn, *answers, good], lenient=True))
    assert [sections(answer.structure)[0].kind for answer in found] == ["text/calendar"] * 2
    with pytest.raises(ValueError, match="cannot be read"):
        list(read_answers([good, torn]))


def test_however_many_parts_there_are_no_more_are_looked_at_than_of_the_octets() -> None:
    assert len(parts(structure(b"(" + TEXT * 5_000 + b'"mixed")'))) == MOST_PARTS


def test_a_calendar_is_seen_behind_parts_that_are_nested_too_deep() -> None:
    deep = b"(" * 5_000 + TEXT + b")" * 5_000
    assert parts(structure(b"(%b%b)" % (deep, CALENDAR)))[-1][:2] == ("2", "text/calendar")


tokens = st.lists(
    st.tuples(
        st.sampled_from([b"(", b")", b"NIL", b"text", b"calendar", b"message", b"name", b"x.ics", b"\xff"]),
        st.booleans(),
    ),
    max_size=80,
)


@given(tokens)
def test_whatever_a_server_says_is_read_or_left_and_nothing_raises(structure: list[Token]) -> None:
    for part in sections(structure):
        assert set(part.number) <= set("0123456789.")
