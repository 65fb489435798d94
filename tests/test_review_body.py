"""The words of a mail, from whatever a hostile sender makes of MIME."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.review.body import MOST_OCTETS, body

PLAIN = b"From: a@b.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDear you,\r\nbye\r\n"


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"xyz") -> bytes:
    inner = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b"Content-Type: multipart/"
        + kind
        + b'; boundary="'
        + boundary
        + b'"\r\n\r\npreamble\r\n'
        + inner
        + b"--"
        + boundary
        + b"--\r\nepilogue\r\n"
    )


def test_a_message_without_any_mime_is_its_own_text() -> None:
    assert body(b"From: a@b.example\n\nhello\n").text == "hello\n"


def test_a_plain_message_is_its_text() -> None:
    assert body(PLAIN).text == "Dear you,\r\nbye\r\n"


def test_plain_text_is_preferred_and_what_stands_beside_it_is_named() -> None:
    both = multipart(b"Content-Type: text/plain\r\n\r\nwords", b"Content-Type: text/html\r\n\r\n<b>words</b>")
    assert body(both).text.strip() == "words"
    assert body(both).others == ("text/html",)


def test_every_plain_part_is_shown_not_only_the_first() -> None:
    text = body(multipart(b"\r\none", b"Content-Type: text/plain\r\n\r\ntwo")).text
    assert "one" in text
    assert "two" in text


def test_html_alone_is_shown_with_its_tags_and_never_rendered() -> None:
    raw = b"Content-Type: text/html\r\n\r\n<img src=http://abuser.example/x.png>hi"
    assert body(raw).text == "<img src=http://abuser.example/x.png>hi"


def test_attachments_are_named_and_not_opened() -> None:
    found = body(multipart(b"\r\nhi", b"Content-Type: application/pdf\r\n\r\n%PDF"))
    assert found.others == ("application/pdf",)
    assert "%PDF" not in found.text


@pytest.mark.parametrize(
    ("encoding", "octets"),
    [
        (b"base64", b"R3LDvMOfZQ=="),
        (b"BASE64", b"R3LD\r\nvMOf\r\nZQ"),
        (b"quoted-printable", b"Gr=C3=BC=C3=9Fe"),
        (b"8bit", "Grüße".encode()),
        (b"no-such-encoding", "Grüße".encode()),
    ],
)
def test_transfer_encodings_are_undone(encoding: bytes, octets: bytes) -> None:
    raw = b"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + octets
    assert body(raw).text == "Grüße"


def test_base64_that_was_cut_off_shows_what_there_is() -> None:
    assert body(b"Content-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQhI").text.startswith("hello")


@pytest.mark.parametrize("charset", ["idna", "zlib", "unicode_escape", "undefined", "x-no-such", "utf-99", "punycode"])
def test_a_charset_that_is_none_of_mail_is_read_as_utf_8(charset: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\n\nGrüße \\x41".encode()
    assert body(raw).text == "Grüße \\x41"


def test_latin_text_is_read_by_its_charset() -> None:
    assert body(b"Content-Type: text/plain; charset=ISO-8859-1\n\nGr\xfc\xdfe").text == "Grüße"


def test_a_message_inside_a_message_is_read_too() -> None:
    assert body(multipart(b"Content-Type: message/rfc822\r\n\r\n" + PLAIN)).text.strip() == "Dear you,\r\nbye"


def test_a_missing_last_delimiter_ends_with_the_message() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=q\n\n--q\n\nlast words"
    assert body(raw).text == "last words"


def test_containers_in_containers_end_somewhere() -> None:
    raw = b"\r\ndeep"
    for depth in range(2000):
        raw = multipart(raw, boundary=b"b%d" % depth)
    began = time.monotonic()
    body(raw)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: multipart/mixed; boundary=q\n\n" + b"--q\n" * 300_000,
        b"Content-Type: text/plain" + b"; " * 400_000 + b"\n\nx",
        b"Content-Type: text/plain; charset=" + b'"' * 400_000 + b"\n\nx",
        b"Content-Type: text/html\n\n" + b"<a " * 300_000,
        b"\n " * 400_000,
        b"Content-Transfer-Encoding: base64\n\n" + b"=" * 900_000,
        b"x" * (MOST_OCTETS * 3),
    ],
)
def test_hostile_bulk_takes_no_time(raw: bytes) -> None:
    began = time.monotonic()
    body(raw)
    assert time.monotonic() - began < 5


@given(st.binary(max_size=300))
def test_any_octets_give_a_body(raw: bytes) -> None:
    body(raw)
    body(b"Content-Type: multipart/mixed; boundary=q\n\n--q\n" + raw)
    body(b"Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-16\n\n" + raw)
    body(b"Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: quoted-printable\n\n" + raw)
