"""The bounds of reading, and marks that say who really wrote: one rule a test."""

import time

import pytest

from nocontactd.address import comparable, parents
from nocontactd.headers import authors
from nocontactd.headers.mailboxes import MOST_MAILBOXES, Room
from nocontactd.model import Disposition
from tests.recognition import blocked, verdict

EX = "ex@abuser.example"


def seen(raw: bytes) -> set[str]:
    return {comparable(author.address) for author in authors(raw)}


def test_a_name_with_nul_in_it_is_read_without_it() -> None:
    assert EX in seen(b"Fr\0om: ex@abuser.example\r\n\r\n")


MARKED = [
    ("Return-Path", "<prvs=0123456789=ex@abuser.example>"),
    ("Return-Path", "<SRS0=Ab1c=XY=abuser.example=ex@forward.example>"),
    ("From", "ex@abuser.example.INVALID"),
    ("From", "Ex <ex=abuser.example@groups.io>"),
    ("X-Sender", EX),
    ("Mail-Reply-To", EX),
    ("X-Envelope-From", f"<{EX}>"),
    ("From", "friend@ok.example/ex@abuser.example"),
    ("From", "ex@abu ser.example"),
    ("From", "ex\\@abuser.example"),
]
UNMARKED = [
    ("Return-Path", "<choir-bounces+ex=abuser.example@lists.example>"),
    ("Return-Path", "<SRS0=Ab1c=XY=ok.example=friend@abuser.example>"),
    ("Reply-To", "ex@abuser.example.invalid"),
    ("Reply-To", "ex=abuser.example@groups.io"),
]


@pytest.mark.parametrize(("field", "value"), MARKED)
def test_a_mark_of_the_author_is_read(field: str, value: str) -> None:
    assert EX in seen(f"From: friend@ok.example\r\n{field}: {value}\r\n\r\n".encode())


@pytest.mark.parametrize(("field", "value"), UNMARKED)
def test_what_only_looks_like_a_mark_is_none(field: str, value: str) -> None:
    assert EX not in seen(f"From: friend@ok.example\r\n{field}: {value}\r\n\r\n".encode())


HEAVY = b'mailto:%40\xff\xe2\x80\xae\x00"(' + b'"@"@' * 6_000


def test_a_long_field_is_read_in_some_ways_and_not_in_all() -> None:
    room, text = Room(), "x" * 100_000
    room.add(text)
    ways = [
        (words, quotes, comments) for words in (True, False) for quotes in (True, False) for comments in (True, False)
    ]
    taken = [room.take(text, *way) for way in ways]
    assert taken == [True] * 3 + [False] * 5
    room.add("short")
    assert room.take("short", True, True, True) and not room.take("short", True, True, True)


def test_a_field_with_many_readings_takes_no_room_from_a_short_one() -> None:
    torn = b'From: "Ex <ex@abuser.example>\r\n'
    fields = b"".join(b"From: %d" % n + HEAVY[:24_000] + b"\r\n" for n in range(7))
    assert EX in seen(fields + torn + b"\r\n")


def test_no_more_mailboxes_are_read_than_the_stated_bound() -> None:
    many = b",".join(b"a%d@b.c" % n for n in range(MOST_MAILBOXES + 1_000))
    assert len(authors(b"From: " + many + b"\r\n\r\n")) == MOST_MAILBOXES


def test_each_author_is_asked_for_a_listed_domain() -> None:
    raw = b"From: a@ok.example\r\nSender: b@ok.example\r\nReply-To: c@mail.business.example\r\n\r\n"
    assert verdict(raw, blocked("@business.example")).disposition is Disposition.SEAL


def test_of_a_host_that_is_too_long_the_domains_at_its_end_are_known() -> None:
    found = list(parents("a." * 100_000 + "abuser.example"))
    assert "abuser.example" in found and len(found) < 200


@pytest.mark.parametrize("name", ["x@y " * 5_000, "Alex Example " * 5_000])
def test_one_long_name_before_many_addresses_is_looked_at_once(name: str) -> None:
    addresses = ",".join(f"a{n}@b.example" for n in range(3_000))
    began = time.process_time()
    verdict(f'From: "{name}" <{addresses}>\r\n\r\n'.encode(), blocked("x@abuser.example", "Alex Example"))
    assert time.process_time() - began < 3
