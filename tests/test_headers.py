"""Who may have written a message, from its raw header bytes, and who may not."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.address import comparable
from nocontactd.headers import addresses, authors, authors_in_full, field, message_id
from nocontactd.headers.fields import AUTHOR_OCTETS, HEADER_OCTETS, author_fields
from nocontactd.model import Author

EX = "ex@abuser.example"

CVE_2023_27043 = [
    form for each in '()<>@,:;."[] ' for form in (f"{EX}{each}<f@ok.example>", f"f@ok.example{each}<{EX}>")
]
AUTHOR_OF = [
    *CVE_2023_27043,
    EX,
    f"Ex <{EX}>",
    f"Ex <{EX}",
    f"{EX}>",
    f"<<{EX}>>",
    f'"Partner, Ex" <{EX}>',
    f"Mr. Ex. <{EX}>",
    f"{EX} (Ex Partner)",
    "ex(c)@abuser.example",
    "ex@abuser(c).example",
    "ex @ abuser . example",
    "ex@abuser\r\n .example",
    "Ex <ex\r\n @abuser.example>",
    "<ex@abu ser.example>",
    "my ex@abuser.example",
    '"ex" @ "abuser.example"',
    '"Ex"ex@abuser.example',
    f'"Ex <{EX}>',
    f"(Ex <{EX}>",
    f'"A" <f@ok.example>, "Ex <{EX}>',
    f"((a) <{EX}>",
    f"f@ok.example; {EX}",
    f"{EX},",
    "ex@@abuser.example",
    "ex@.abuser.example",
    f"{EX}@ok.example",
    f"'{EX}'",
    f"\u201c{EX}\u201d",
    f"`{EX}`",
    f"{{{EX}}}",
    f"&lt;{EX}&gt;",
    f"[{EX}]",
    f"Ex [mailto:{EX}]",
    "<mailto:ex%40abuser.example>",
    f"<mailto:{EX}?subject=hi>",
    "e\\x@abuser.example",
    f"<f@ok.example>\\,<{EX}>",
    f"Family: f@ok.example, Ex <{EX}>;",
    f"Ex: Partner <{EX}>",
    f"<f@ok.example>:<{EX}>",
    f"Ex <@a.example,@b.example:{EX}>",
    f"\x01{EX}\x7f",
    "ex@abu\x00ser.example",
    f"{EX}\x00@ok.example",
    "=?utf-8?q?ex=40abuser.example?=",
    "=?utf-8?B?ZXhAYWJ1c2VyLmV4YW1wbGU?=",
    "=?utf-8?q?ex=40abu?=\r\n =?utf-8?q?ser=2Eexample?=",
    "=?utf-8?q?ex?=@abuser.example",
    "ex@=?utf-8?q?abuser?=.example",
    '"=?utf-8?q?ex?="@abuser.example',
    "Ex <=?utf-8?q?ex=40abuser.example?=>",
    "=?utf-7?q?ex+AEA-abuser.example?=",
    "=?utf-16?b?//5lAHgAQABhAGIAdQBzAGUAcgAuAGUAeABhAG0AcABsAGUA?=",
    "=?x-none?q?ex=40abuser.example?=",
    f"=?x-none?q?Ex?= <{EX}>",
    f"=?utf-8*en?q?Ex=0A?= <{EX}>",
    "=?utf-8?b?PGV4QGFidXNlci5leGFtcGxlPg==?= <f@ok.example>",
    "=?utf-8?b?ZXhAYWJ1c2VyLmV4YW1wbGU=?==?utf-8?Q?=0A=00?==?utf-8?b?KHJlYWwp?=@ok.example",
    "=?utf-8?q?ex=40abuser.example?= <>",
    f"=?x?q?<{EX}>?= <f@ok.example>",
    f"=?x?b?<{EX}>?= <f@ok.example>",
    f"{EX}\x00admin@ok.example",
    f'"{EX}"',
    f"({EX})",
    "\u202eelpmaxe.resuba@xe",
    "ex\uff20abuser.example",
    "ex=40abuser.example@dmarc.ietf.org",
    "ex=abuser.example@groups.io",
]
NOT_AUTHOR_OF = [
    "undisclosed-senders:;",
    f"news@shop.example ({EX})",
    f"news@shop.example (<{EX}>)",
    f'"{EX}" <news@shop.example>',
    f'"{EX}" news@shop.example',
    "=?utf-8?q?ex=40abuser.example?= <news@shop.example>",
    f'"{EX}"@ok.example',
    "xex@abuser.example",
    "ex-wife@abuser.example",
    "ex%abuser.example@relay.example",
    "abuser.example!ex@relay.example",
    "<@abuser.example:f@ok.example>",
    "news+ex=abuser.example@shop.example",
    "ex@abuser.example.org",
]


def keys(raw: bytes) -> set[str]:
    return {comparable(each.address) for each in authors(raw)}


def fields(*lines: str, eol: bytes = b"\r\n") -> bytes:
    return b"".join(line.encode() + eol for line in lines) + eol + b"Hi.\r\n"


@pytest.mark.parametrize("value", AUTHOR_OF)
def test_a_from_field_that_any_client_would_show_as_theirs_is_theirs(value: str) -> None:
    assert EX in keys(fields("Received: x", f"From: {value}", "To: me@home.example"))


@pytest.mark.parametrize("value", NOT_AUTHOR_OF)
def test_a_from_field_of_somebody_else_is_not_theirs(value: str) -> None:
    assert EX not in keys(fields("Received: x", f"From: {value}", "To: me@home.example"))


def test_octets_that_are_not_utf8_are_read_as_windows_1252_too() -> None:
    assert comparable("ex@bücher.example") in keys(b"From: ex@b\xfccher.example\r\n\r\n")
    assert EX in keys(b"From: \x93ex@abuser.example\x94\r\n\r\n")


@pytest.mark.parametrize(
    "name",
    ["From", "FROM", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "Return-Path", "X-Original-From",
     "X-Original-Sender", "X-Google-Original-From", "Author"],
)  # fmt: skip
def test_every_author_field_counts_wherever_it_stands(name: str) -> None:
    raw = fields("From: f@ok.example", f"{name}: a@ok.example", "Subject: s", f"{name} :\t{EX}")
    assert Author(name.title(), EX) in authors(raw)


@pytest.mark.parametrize(
    "name",
    ["To", "Cc", "Bcc", "Delivered-To", "X-Original-To", "Received", "References", "Subject", "X-From", "Fromm",
     "Disposition-Notification-To"],
)  # fmt: skip
def test_no_other_field_names_an_author(name: str) -> None:
    assert keys(fields(f"{name}: {EX}", "From: f@ok.example", f"{name}: {EX}")) == {"f@ok.example"}


@pytest.mark.parametrize(
    "before",
    [
        b"garbage", b": value", b"Bad Header: 1", b"S\xc3\xbcbject: 1", b"X\0Y: 1", b"\0", b" \t ", b"--=_boundary",
        b"From f@ok.example Sun Nov 22 05:00:00 2026", b">From f@ok.example Sun", b"X: 1\r", b"X: 1\r\r", b"\xfe\xff",
    ],
)  # fmt: skip
def test_nothing_but_an_empty_line_ends_a_header(before: bytes) -> None:
    assert EX in keys(b"X: 0\r\n" + before + b"\r\nFrom: ex@abuser.example\r\n\r\n")


@pytest.mark.parametrize("top", [b"", b"\xef\xbb\xbf", b"\r\n", b" ", b"From f@ok.example Sun\r\n"])
def test_what_stands_on_top_hides_no_field(top: bytes) -> None:
    assert EX in keys(top + b"From: ex@abuser.example\r\nFrom: f@ok.example\r\n\r\n")


@pytest.mark.parametrize("eol", [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r"])
def test_every_line_end_ends_a_line(eol: bytes) -> None:
    raw = eol.join((b"X: 1", b"From: ex@abuser.example", b"To: a@ok.example", b"", b"From: in.body@ok.example", b""))
    assert keys(raw) == {EX}


def test_a_bare_cr_begins_a_field_only_where_one_follows() -> None:
    assert EX in keys(b"Subject: hi\rFrom: ex@abuser.example\r\nFrom: f@ok.example\r\n\r\n")
    assert EX in keys(b"From: Ex\r<ex@abuser.example>\r\n\r\n")
    assert EX not in keys(b"From: f@ok.example\rTo: ex@abuser.example\r\n\r\n")


def test_a_folded_line_belongs_to_the_field_above() -> None:
    assert EX not in keys(b"Subject: fwd\r\n From: ex@abuser.example\r\nFrom: f@ok.example\r\n\r\n")


def test_an_angle_address_that_lost_its_folding_space_is_read() -> None:
    assert EX in keys(b"From: Ex\r\n<ex@abuser.example>\r\nTo: a@ok.example\r\n\r\n")


def test_the_body_has_no_authors() -> None:
    assert keys(b"From: f@ok.example\r\n\r\nFrom: ex@abuser.example\r\n") == {"f@ok.example"}
    assert authors(b"just text ex@abuser.example and more\r\n") == ()


def test_names_are_read_with_their_addresses() -> None:
    raw = fields('From: =?utf-8?q?Zo=C3=AB?= Ex <ex@a.example>, b@b.example (Bea), "C, Cy" <c@c.example>, Dee:;')
    assert [(each.address, each.name) for each in authors(raw)] == [
        ("ex@a.example", "Zoë Ex"),
        ("b@b.example", "Bea"),
        ("c@c.example", "C, Cy"),
    ]


def test_where_no_address_stands_the_name_alone_is_an_author() -> None:
    assert authors(b"From: Alex Example\r\n\r\n") == (Author("From", "", "Alex Example"),)


def test_a_character_cut_in_two_by_encoded_words_is_mended() -> None:
    assert field(b"Subject: =?utf-8?b?w4M=?= =?utf-8?q?=C3?= =?utf-8?q?=A9?=\r\n\r\n", "subject") == "Ãé"


def test_a_field_is_unfolded_and_decoded_for_a_reader() -> None:
    raw = b"Subject : =?utf-8?q?Zo=C3=AB?=\r\n says\thi\r\nSubject: second\r\n\r\nSubject: body\r\n"
    assert field(raw, "Subject") == "Zoë says hi"
    assert field(raw, "X-None") == ""
    assert field(b"Subject: =?koi8-r*ru?b?0NLJ18XU?=\r\n\r\n", "Subject") == "привет"


def test_the_message_id_is_given_as_it_stands() -> None:
    assert message_id(b"Message-Id:\r\n <a.b@c>\r\n\r\n") == "<a.b@c>"
    assert message_id(b"From: a@b\r\n\r\nMessage-Id: <x>\r\n") == ""


def test_the_addresses_of_a_text_are_found() -> None:
    assert addresses(f"Ex <{EX}>, b@ok.example") == (EX, "b@ok.example")


def corpus() -> list[bytes]:
    import json

    lines = (Path(__file__).parent / "corpus" / "mail.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["raw_message"].encode("latin-1") for line in lines]


def in_the_long_way(raw: bytes) -> tuple[Author, ...]:
    return authors_in_full(author_fields(raw))


def test_the_short_way_reads_what_the_long_way_reads() -> None:
    forms = [f"From: {value}\r\n\r\n".encode() for value in (*AUTHOR_OF, *NOT_AUTHOR_OF)]
    for raw in (*corpus(), *forms):
        assert authors(raw) == in_the_long_way(raw)


PLAINISH = st.text("abZ9.'-_+ \t\r\n<>@\"", max_size=24) | st.from_regex(
    rb"[ \t]?(\"?[a-zA-Z0-9.'-]+( [a-zA-Z.]+)?\"?)? ?<?[a-z0-9._+-]+@[a-z0-9.-]+>?[ \t]?".decode(), fullmatch=True
)


@given(PLAINISH)
def test_the_short_way_reads_any_plain_field_as_the_long_way_does(value: str) -> None:
    raw = b"From: " + value.replace("\n", "\n ").encode() + b"\r\n\r\n"
    assert authors(raw) == in_the_long_way(raw)


SYNTAX = st.sampled_from(
    [b"From:", b"\r", b"\n", b"\r\n", b" ", b"<", b">", b"(", b")", b'"', b"\\", b"@", b",", b";", b":", b"=?", b"?=",
     b"?q?", b"?b?", b"utf-8", b"utf-16", b"=40", b"\0", b"\xff", b"\xe2\x80\xae", b"\xf3\xb0\x80\x80", b"a", b".",
     b"["]
)  # fmt: skip


@given(st.binary(max_size=200) | st.lists(SYNTAX, max_size=40).map(b"".join))
def test_any_octets_have_authors_or_none_and_never_raise(octets: bytes) -> None:
    for raw in (octets, b"From: " + octets, b"Received: x\r\nSender: " + octets + b"\r\n\r\nbody"):
        for author in authors(raw):
            comparable(author.address)
        field(raw, "From")


@given(st.lists(SYNTAX, max_size=20).map(b"".join), st.lists(SYNTAX, max_size=20).map(b"".join))
def test_no_field_hides_another(before: bytes, after: bytes) -> None:
    one_line = before.translate(None, b"\r\n")
    raw = b"From: " + one_line + b"\r\nFrom: ex@abuser.example\r\nFrom: " + after
    assert EX in keys(raw)


REPEATED = [
    b",", b"(", b")", b"()", b"(a)", b"(\\", b'"', b'"" ', b'"a"', b'\\"', b'"@"@', b"<", b">", b"<a ", b'<a "(', b"@",
    b"a@", b"@a", b"a@b ", b"a@b,", b"a . ", b". ", b"a.", b"a ", b" ", b"[", b"[a@", b"=?", b"=?utf-8?q?a?= ",
    b"=?utf-8?b?YQ==?=,", b"=?utf-8?q?a@b?=", b"=?utf-7?q?+AGE?=", b"=?idna?q?a?=", b"\0", b"\xff", b"\xe2\x80\xae",
    b"\xf3\xb0\x80\x80@", b"\\", b"\r", b"\n ", b"\n<", b"mailto:a%40b ", b"a=b.", b"-orig",
]  # fmt: skip


@pytest.mark.parametrize("piece", REPEATED)
def test_a_hostile_field_takes_linear_time(piece: bytes) -> None:
    hostile = piece * (40_000 // len(piece))
    raw = b"From: " + hostile + b"\r\nX-" + hostile + b": y\r\nSender: ex@abuser.example\r\n\r\n"
    began = time.process_time()
    assert EX in keys(raw)
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b", ".join(b"A Name <a%d@b%d.example>" % (n, n) for n in range(20_000)) + b", ex@abuser.example",
        b"X-A: b\r\n" * 31_250 + b"From: ex@abuser.example",
        b"From: a@ok.example\r\n" * 10_000 + b"From: ex@abuser.example",
        b"\r" * 250_000 + b"\nFrom: ex@abuser.example",
        b"X: a\ra" * 40_000 + b"\nFrom: ex@abuser.example",
        b"X-a-b-c-d-orig-orig-: b\r\n" * 10_000 + b"From: ex@abuser.example",
    ],
    ids=["20,000 addresses", "250 kB of other fields", "10,000 fields", "CR", "bare CRs", "nearly marks"],
)
def test_a_huge_header_is_read_to_its_end_in_linear_time(raw: bytes) -> None:
    began = time.process_time()
    assert EX in keys(raw + b"\r\n\r\n")
    assert time.process_time() - began < 3


def test_no_more_is_read_than_the_stated_bounds() -> None:
    at_the_end = b"X: y\r\n" * (HEADER_OCTETS // 6) + b"From: ex@abuser.example\r\n\r\n"
    assert keys(at_the_end) == set()
    after_much = b"Sender: a@ok.example" + b" " * AUTHOR_OCTETS + b"\r\nFrom: ex@abuser.example\r\n\r\n"
    assert keys(after_much) == {"a@ok.example"}
