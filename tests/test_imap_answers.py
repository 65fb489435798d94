"""FETCH answers as servers give them, and as they should not. And what imapclient does with them, until it mends it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.response_parser import parse_fetch_response

from nocontactd.sources.imap.fetch_answers import Answer, Raw, read_answers

NOTHING = Answer(None, None, "", None, None, "")

ANSWERS: list[tuple[str, list[Raw], list[Answer]]] = [
    ("nothing", [None], []),
    ("no literal", [b"1 (UID 5 RFC822.SIZE 10)"], [Answer(5, 10, "", None, None, "")]),
    (
        "all there is",
        [(b'1 (UID 5 RFC822.SIZE 10 INTERNALDATE "17-Jul-1996 02:44:25 -0700" X-GM-MSGID 12784 BODY[]<0> {3}', b"abc"),
         b")"],
        [Answer(5, 10, "17-Jul-1996 02:44:25 -0700", b"abc", 0, "12784")],
    ),
    ("the UID last", [(b"1 (BODY[HEADER] {2}", b"ab"), b" UID 5)"], [Answer(5, None, "", b"ab", None, "")]),
    ("lower case", [(b"1 (uid 5 body[header] {2}", b"ab"), b")"], [Answer(5, None, "", b"ab", None, "")]),
    ("a quoted string", [b'1 (UID 5 BODY[HEADER] "a\\"b\\\\c")'], [Answer(5, None, "", b'a"b\\c', None, "")]),
    ("an empty string", [b'1 (UID 5 BODY[]<1048576> "")'], [Answer(5, None, "", b"", 1048576, "")]),
    ("NIL", [b"1 (UID 5 BODY[] NIL)"], [Answer(5, None, "", None, None, "")]),
    ("an empty literal", [(b"1 (UID 5 BODY[] {0}", b""), b")"], [Answer(5, None, "", b"", None, "")]),
    ("a binary literal", [(b"1 (UID 5 BODY[] ~{2}", b"\0\xff"), b")"], [Answer(5, None, "", b"\0\xff", None, "")]),
    (
        "fields in a spelling of its own",
        [(b'7 (UID 5 BODY[HEADER.FIELDS ("FROM" "REPLY-TO")]<0> {4}', b"From"), b")"],
        [Answer(5, None, "", b"From", 0, "")],
    ),
    (
        "flags and lists beside it",
        [(b'1 (FLAGS (\\Seen $x [y]) MODSEQ (12) X-GM-LABELS ("a) b" (c)) UID 5 BODY[] {1}', b")"), b" FLAGS ())"],
        [Answer(5, None, "", b")", None, "")],
    ),
    (
        "two, and one unasked between them",
        [(b"1 (UID 1 BODY[] {1}", b"a"), b")", b"9 (FLAGS (\\Seen))", (b"2 (UID 2 BODY[] {1}", b"b"), b")"],
        [Answer(1, None, "", b"a", None, ""), NOTHING, Answer(2, None, "", b"b", None, "")],
    ),
    ("octets that look like an answer", [(b"1 (UID 1 BODY[] {9}", b") {1}\r\nx("), b")"],
     [Answer(1, None, "", b") {1}\r\nx(", None, "")]),
]  # fmt: skip

BAD: list[list[Raw]] = [
    [b""], [b"1"], [b"1 UID 5"], [b"1 (UID 5"], [b"1 (UID 5))"], [b"1 (UID)"], [b"1 (UID five)"],
    [b"1 ((UID 5))"], [b'1 ("UID" 5)'], [b"1 (UID (5)"], [b'1 (UID 5 BODY[] "abc)'], [b"1 (UID 5 BODY[ {3}"],
    [(b"1 (UID 5 BODY[] {1}", b"a")], [(b"1 (UID 5 {1}", b"a"), b")"], [b"1 (UID -5)"],
    [b"1 (UID 99999999999999999999999)"], [b"1 (" + b"(" * 100_000], [b"1 (UID 5 )("],
]  # fmt: skip


@pytest.mark.parametrize(("data", "answers"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_an_answer_is_read_as_it_was_meant(data: list[Raw], answers: list[Answer]) -> None:
    assert list(read_answers(data)) == answers


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_what_cannot_be_read_is_an_error_and_never_a_guess(data: list[Raw]) -> None:
    with pytest.raises(ValueError, match="FETCH answer"):
        list(read_answers(data))


@given(st.lists(st.one_of(st.binary(), st.tuples(st.binary(), st.binary()), st.none())))
def test_whatever_a_server_sends_is_answers_or_a_value_error(data: list[Raw]) -> None:
    with suppress(ValueError):
        assert all(isinstance(answer, Answer) for answer in read_answers(data))


@given(st.binary(), st.integers(1, 2**32 - 1))
def test_octets_come_out_as_they_went_in(octets: bytes, uid: int) -> None:
    line = b"1 (UID %d RFC822.SIZE %d BODY[]<0> {%d}" % (uid, len(octets), len(octets))
    (answer,) = read_answers([(line, octets), b")"])
    assert (answer.uid, answer.size, answer.octets) == (uid, len(octets), octets)


def test_imapclient_still_keys_by_the_servers_spelling() -> None:
    """When this fails, imapclient has mended it, and one reason for an own reader is gone."""
    data = [(b"1 (UID 5 BODY[HEADER.FIELDS ( from )]<0> {1}", b"a"), b")"]
    assert b"BODY[HEADER.FIELDS (FROM)]<0>" not in parse_fetch_response(data)[5]


def test_imapclient_still_merges_separate_answers_and_drops_how_a_date_was_spelled() -> None:
    """When this fails, imapclient has mended it, and one reason for an own reader is gone."""
    data = [(b'1 (UID 5 INTERNALDATE " 7-Jul-1996 02:44:25 -0700" BODY[] {1}', b"a"), b")", b"1 (UID 5 RFC822.SIZE 9)"]
    answer = parse_fetch_response(data)[5]
    assert answer[b"RFC822.SIZE"] == 9
    assert not isinstance(answer[b"INTERNALDATE"], bytes)
