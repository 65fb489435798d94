"""What a server says to FETCH commands: read in one go where it can be, and always as the strict reader has it."""

import imaplib
import random
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nocontactd.sources.imap.contents import _CALENDAR
from nocontactd.sources.imap.fetch_answers import read_answers
from nocontactd.sources.imap.replies import Replies
from nocontactd.sources.imap.wire import Patience, Wire

TAG = b"ABCD7"
SECTION = b"BODY[HEADER.FIELDS (FROM SENDER)]<0> "
REST = b"* 5 EXISTS\r\nABCD8 OK\r\n"
"""It comes with the end of the answer and is nobody's yet."""


class Fed(Wire):
    """A wire that is given these octets in pieces, and then closed."""

    def __init__(self, octets: bytes, pick: random.Random, most: int | None = None) -> None:
        self._coming = pieces(octets, pick, most or pick.choice([1, 3, 50, 700, 60_000]))
        self._patience = Patience()
        self.untagged_responses: dict[str, list[bytes]] = {}
        self.go_on()
        self._receive_anew()

    def receive(self, buffer: Any) -> int:
        octets = next(self._coming, b"")
        buffer[: len(octets)] = octets
        return len(octets)


def pieces(octets: bytes, pick: random.Random, most: int) -> Iterator[bytes]:
    while octets:
        size = pick.randint(1, most)
        yield octets[:size]
        octets = octets[size:]


def answer(octets: bytes, uid: int = 5, section: bytes = SECTION, size: int = 0, end: bytes = b"") -> bytes:
    """`size`: by how much it is wrong."""
    return b"* 5 FETCH (UID %d %b{%d}\r\n%b%b)\r\n" % (uid, section, max(0, len(octets) + size), octets, end)


OCTETS = [
    *(b"", b"From: a@x.example\r\n\r\n", b")\r\n", b"{3}\r\nabc", b"x" * 3000),
    *(answer(b"From: b@x.example\r\n\r\n", 6), b"\r\n%b OK done\r\n" % TAG, b")\r\n" + answer(b"", 7)),
]
SECTIONS = [SECTION, SECTION.lower(), b"BODY[HEADER] ", b'BODY[HEADER.FIELDS ("FROM")]<0> ', b"FLAGS () BODY[]<0> "]
SECTIONS += [b"UID 9 BODY[HEADER] ", b"BODY[HEADER] ~", b"BODY[HEADER]<7> ", b"RFC822.SIZE 7 ", b"BODY[]{2}\r\nab X "]
SAID = st.one_of(
    st.builds(answer, st.sampled_from(OCTETS), st.integers(1, 2**32)),
    st.builds(answer, st.sampled_from(OCTETS), st.integers(1, 99), size=st.integers(-3, 3)),
    st.builds(
        answer, st.sampled_from(OCTETS), st.integers(1, 99), st.sampled_from(SECTIONS), end=st.just(b" FLAGS ()")
    ),
    st.builds(answer, st.sampled_from(OCTETS), st.integers(1, 99), st.sampled_from(SECTIONS)),
    st.sampled_from([b"* 5 FETCH (UID 5 BODY[HEADER] NIL)\r\n", b'* 5 FETCH (UID 5 BODY[HEADER] "a{3}")\r\n']),
    st.sampled_from([b"* 5 fetch (UID 5 BODY[] {1}\r\nx)\r\n", b"* 5 FETCH (UID 5 BODY[] {1}\nx)\n"]),
    st.sampled_from([b"* 5 FETCH (FLAGS ())\r\n", b"* 3 EXPUNGE\r\n", b"* OK {3}\r\nabc\r\n", b"ABCD6 OK\r\n"]),
    st.sampled_from([b"* 5 FETCH (\r\n", b"\r\n"]),
)


def heard(said: Sequence[bytes], pick: random.Random, *, literals: bool) -> tuple[Any, ...] | None:
    """How it ended, UIDs and octets of all answers, other news, and what comes after them; None: it cannot be read."""
    wire = Fed(b"".join(said) + TAG + b" OK done\r\n" + REST, pick)
    try:
        reply = Replies(wire, literals=literals).fetched(TAG)
        strictly = [(answer.uid, answer.octets) for answer in read_answers(reply.said)]
    except (ValueError, OSError, imaplib.IMAP4.abort):
        return None
    answers = sorted([*reply.alike, *strictly], key=str)
    return reply.kind, reply.words, answers, wire.untagged_responses, wire._reader.read()


USUAL = [answer(b"From: a@x.example\r\n\r\n", uid) for uid in range(1, 20)]


PICKS = st.integers(0, 999).map(random.Random)


@example([*USUAL, answer(b"abc", size=-1), *USUAL], random.Random(3))
@example([*USUAL, answer(b"abc", section=SECTION.lower()), *USUAL], random.Random(3))
@example([answer(b"abc", section=b"UID 9 BODY[HEADER] "), *USUAL], random.Random(3))
@settings(max_examples=150, deadline=None)
@given(st.lists(SAID, max_size=12), PICKS)
def test_answers_that_are_read_in_one_go_are_what_the_strict_reader_makes_of_them(
    said: list[bytes], pick: random.Random
) -> None:
    for all_ in (said, USUAL + said):
        assert heard(all_, pick, literals=True) == heard(all_, pick, literals=False)


def test_nearly_all_answers_are_read_in_one_go() -> None:
    wire = Fed(b"".join(USUAL * 100) + TAG + b" OK done\r\n", random.Random(1), 60_000)
    reply = Replies(wire, literals=True).fetched(TAG)
    assert len(reply.alike) >= len(USUAL) * 100 - 20


PARTS = [
    *(b'"TEXT" "PLAIN" ("CHARSET" "utf-8")', b'"TEXT" "PLAIN" ("X" "a{3}b")'),
    *(b'"TEXT" "PLAIN" ("X" {3}\r\nabc)', b'"TEXT" "CALENDAR" NIL', b'"text" "Calendar" NIL'),
    *(b'"X" "Y" ("NAME" "a.iCs")', b'"X" "Y" ("NAME" "=?u?q?a?=")', b'"X" "Y" ("NAME*" "a.%69cs")'),
    *(b'"X" "Y" ("NAME" "a\\\\b")', b'"X" "Y" ("NAME" {7}\r\na.ics\r\n)'),
    b'"TEXT" "PLAIN" ("X" {19}\r\n\r\n%b OK done\r\n12)' % TAG,
]
"""All but the first two may stand for a calendar, or hold a literal."""
LINES = [b"* 5 EXISTS\r\n", b"ABCD6 OK\r\n", b"* OK ics\r\n", b"ABCD77 OK\r\n", b"* 5 FETCH (UID 7 X))\r\n"]


@example([PARTS[0]] * 9 + [PARTS[3]] + [PARTS[0]] * 9, random.Random(4))
@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*PARTS, *LINES]), max_size=12), PICKS)
def test_a_structure_that_may_hold_a_calendar_is_never_passed_over(parts: list[bytes], pick: random.Random) -> None:
    said = [
        part if part in LINES else b"* 5 FETCH (UID %d BODYSTRUCTURE (%b))\r\n" % (uid, part)
        for uid, part in enumerate(parts)
    ]
    octets = b"".join(said) + TAG + b" OK done\r\n" + REST
    passing, strict = Fed(octets, pick), Fed(octets, pick)
    some, all_ = Replies(passing, holding=_CALENDAR).fetched(TAG), Replies(strict).fetched(TAG)
    read = {answer.uid: answer for answer in read_answers(some.said, lenient=True)}
    known = {answer.uid: answer for answer in read_answers(all_.said, lenient=True)}
    assert read.items() <= known.items()
    assert {uid for uid, part in enumerate(parts) if part in PARTS[2:]} <= set(read)
    assert (some.kind, some.words, passing._reader.read()) == (all_.kind, all_.words, strict._reader.read())
