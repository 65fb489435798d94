"""What the screen of a backlog lets by concerns nobody, and its short way lets by what its long one does."""

import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nocontactd import headers, shipped
from nocontactd.headers.fields import body
from nocontactd.model import Author
from nocontactd.reading import may_hold_calendar
from nocontactd.sources.imap.look import AUTHOR_FIELDS, HEADER
from nocontactd.sources.imap.screen import _RETURN_PATH, NO_AUTHORS, Screen
from tests.recognition import blocked
from tests.test_corpus_wire import CASES
from tests.test_ham import ham

CATALOGUE = shipped.services()
LISTED = blocked("ex@abuser.example", "@firm.example", "Alex Example", "some.one@gmail.com", "alexander@web.example")
NAMES = ["From", "from", "Sender", "Reply-To", "Return-Path", "Subject", "Message-ID", "X-Original-From"]
NAMES += ["Content-Type", "Content-Disposition", "<x", "Return-Path ", "Cc"]
SERVICE = "x@" + min(host for host in CATALOGUE.senders if "@" not in host)
VALUES = [
    *("nadia@friends.example", "Nadia <nadia@friends.example>", "ex@abuser.example", '"ex"@abuser.example'),
    *("<ex@abuser.example>", "<ex@abuser.example>:x", "a@x.example,\r\n ex@abuser.example", "x@sub.firm.example"),
    *("Alex Example <n@x.example>", SERVICE, "Nadia", "<>", "text/calendar", 'text/plain; name="a.ics"'),
    *("=?utf-8?q?ex=40abuser.example?=", "", "(", '"', "a\r\n\tb", "<x@sub.firm.example>", "<a@FIRM.example>"),
    *("<b+1@friends.example>", "<b+2@abuser.example>", "<x@firm.example.invalid>", "<someone@googlemail.com>"),
    *("<prvs=12=ex@abuser.example>", "<prvs=12=b@firm.example@x.example>", "<b+ex=abuser.example@x.example>"),
    *("<SRS0=a=b=abuser.example=ex@relay.example>", "<alexanderr@web.example>", "<a1exander@web.example>"),
    *("<a@x.example>, <ex@abuser.example>", "<a@x.example>\r\n <ex@abuser.example>", "<a@x.example> ex@abuser.example"),
    *("<a@x.example>\x00", "<a@x.example>\r", "<a@x.example.>", "<a..b@x.example>", "n\xe9 <n@x.example>"),
]


def as_fields(fields: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\n"


MESSAGES = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5).map(
        lambda fields: as_fields([*fields[:2], ("From", "Nadia <nadia@friends.example>"), *fields[2:]])
    )
    | st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5).map(as_fields),
    max_size=8,
)
JO = ("From", "jo@x.example")
KNOWN = as_fields([JO])
PATHS = [[KNOWN, as_fields([("Return-Path", value), JO])] for value in VALUES if value.startswith("<")]
EXES = ("Reply-To", "ex@abuser.example")
BESIDE = [[JO, EXES], [EXES, JO], [JO, ("Sender", "jo@x.example"), EXES], [("Sender", "jo@x.example"), JO, EXES]]


@example([as_fields([("From", SERVICE)])])
@example([as_fields([("From", "ex@abuser.example")])])
@settings(max_examples=300, deadline=None)
@given(MESSAGES)
def test_what_the_screen_lets_by_concerns_nobody(messages: list[bytes]) -> None:
    """One screen for all: what it has learnt from one message may not let another by."""
    screen = Screen(LISTED.concerns, CATALOGUE)
    for raw in messages:
        if not screen.suspects(raw):
            authors = headers.authors(raw)
            assert not LISTED.concerns(authors)
            assert not CATALOGUE.sender(authors)


def sifted(messages: Sequence[bytes]) -> None:
    """By the short way what the long one says, at first and when their fields are known."""
    short, long = Screen(LISTED.concerns, CATALOGUE), Screen(LISTED.concerns, CATALOGUE)
    for _ in range(2):
        suspects: set[int] = set()
        perhaps: set[int] = set()
        short.sift(enumerate(messages), suspects, perhaps)
        assert suspects == {uid for uid, raw in enumerate(messages) if long.suspects(raw)}
        assert perhaps == {uid for uid, raw in enumerate(messages) if may_hold_calendar(raw)} - suspects


@settings(max_examples=300, deadline=None)
@example([KNOWN, *map(as_fields, BESIDE), as_fields([("From", "ex@abuser.example")])])
@given(MESSAGES)
def test_the_short_way_through_the_screen_comes_to_what_the_long_one_does(messages: list[bytes]) -> None:
    sifted(messages)


@pytest.mark.parametrize("messages", PATHS, ids=range(len(PATHS)))
def test_a_return_path_is_let_by_for_its_domain_only_where_the_long_way_lets_it_by(messages: list[bytes]) -> None:
    sifted(messages)


def only_asked_for(header: bytes) -> bytes:
    """Those of its fields that a screen asks for, as a server gives them."""
    fields = re.findall(rb"(?m)^[^ \t\r\n:]+:.*\r?\n(?:[ \t].*\r?\n)*", header)
    wanted = {name.lower().encode() for name in (*AUTHOR_FIELDS, *NO_AUTHORS)}
    return b"".join(each for each in fields if each.partition(b":")[0].lower() in wanted) + b"\r\n"


def test_the_short_way_comes_to_what_the_long_one_does_for_the_corpus_and_for_ordinary_mail() -> None:
    corpus = [case["raw_message"].encode("latin-1") for case in CASES.values()]
    heads = [raw[: len(raw) - len(body(raw))] for raw in (*corpus, *(ham(random.Random(n)) for n in range(300)))]
    sifted([*heads, *map(only_asked_for, heads)])


HOSTS = ["abuser.example", "x.firm.example", "gmail.com", "googlemail.com", "web.example", "friends.example"]
ATOMS = st.text("abXYprvsSR019_+=-.", min_size=1, max_size=16)
LOCALS = st.sampled_from(["ex", "EX", "ex+1", "someone", "some.one", "alexanderr", "srs0=a=b=firm.example=ex"])


@settings(max_examples=300, deadline=None)
@given(ATOMS | LOCALS, ATOMS | st.sampled_from(HOSTS) | st.sampled_from(HOSTS).map(str.upper))
def test_nobody_but_its_address_stands_in_a_return_path_that_is_let_by_for_its_domain(local: str, host: str) -> None:
    line = f"Return-Path: <{local}@{host}>\r\n".encode()
    assume(re.fullmatch(_RETURN_PATH, line))
    authors = headers.authors(b"%b\r\n" % line)
    assert authors == (Author("Return-Path", f"{local}@{host}"),)
    if LISTED.concerns.spares(host):
        assert not LISTED.concerns(authors)


@pytest.mark.parametrize("path", ["<a@b.>", "<a.@b>", "<a@b.example.>", "<.a@b>", "<a@.b>", "<a@b> <c@d>", "<>"])
def test_a_return_path_that_is_not_quite_ordinary_goes_the_long_way(path: str) -> None:
    assert not re.fullmatch(_RETURN_PATH, f"Return-Path: {path}\r\n".encode())


def test_fields_as_long_as_is_asked_for_may_have_been_cut_off() -> None:
    whole = as_fields([JO, ("Subject", "x" * HEADER)])
    sifted([KNOWN, whole])
    assert Screen(LISTED.concerns, CATALOGUE).suspects(whole)
