"""The plaintext of a record: values to bytes and back, and a tar that any tar reads."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nocontactd.archive import ustar
from nocontactd.archive.format import (
    KINDS,
    Member,
    Meta,
    Plaintext,
    commitment,
    content_hash,
    is_original,
    padme,
    read_auth,
    read_final,
    read_meta,
    write_auth,
    write_final,
    write_meta,
)
from nocontactd.model import Authentication, Author, Channel, Disposition, Envelope, Kind, MessageRef, Part, Verdict
from tests.archive_fixture import VERDICT, envelope, noon

META = Meta("2026-11-22/000001", "message", noon(), "0.1.0", "ab" * 32, envelope(), VERDICT, (("greeting", "* OK"),))
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda name: name not in ("meta.json", "auth.json", "final.json")
)
anything = st.text(st.characters(), max_size=20)  # lone surrogates too: headers are read leniently


@given(source=anything, folder=anything, uid=anything, address=anything, name=anything, fact=anything)
def test_meta_comes_back_as_it_was_whatever_a_header_held(
    source: str, folder: str, uid: str, address: str, name: str, fact: str
) -> None:
    there = Envelope(
        MessageRef(source, folder, 7, uid), Channel.RCS, (Author("From", address, name),), noon(), 3, arrival=False
    )
    why = Verdict(Disposition.HOLD, "name", None, None)
    meta = replace(META, envelope=there, verdict=why, facts=((fact, fact), (fact, "")))
    assert read_meta(write_meta(meta)) == meta
    write_meta(meta).decode("ascii")


def test_a_person_named_by_a_service_comes_back_by_number_and_handle() -> None:
    authors = tuple(Author("Reply-To", "x", "y", kind) for kind in Kind)
    meta = replace(META, envelope=replace(envelope(), authors=authors))
    assert read_meta(write_meta(meta)) == meta
    assert b'"kind": "address"' not in write_meta(meta)  # as it always was written


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_without_a_message_has_neither_envelope_nor_verdict(kind: str) -> None:
    meta = replace(META, kind=kind, envelope=None, verdict=None)
    assert read_meta(write_meta(meta)) == meta
    assert "source" not in json.loads(write_meta(meta))


def test_times_are_written_in_utc() -> None:
    from datetime import timezone

    moment = datetime(2026, 11, 22, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    written = json.loads(write_meta(replace(META, sealed=moment)))["sealed"]
    assert written == "2026-11-21T23:30:00Z"
    assert datetime.fromisoformat(written).tzinfo == UTC


def test_members_that_a_later_version_adds_are_passed_over() -> None:
    fields = json.loads(write_meta(META)) | {"later": 1}
    assert read_meta(json.dumps(fields).encode()) == META


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"format": "nocontactd-record/2"}', b"null", b"1"])
def test_what_is_not_as_the_format_says_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match="not as the format says"):
        read_meta(damage)
    with pytest.raises(ValueError, match="not as the format says"):
        read_final(damage)


def test_final_contradicts_itself_when_a_hash_is_altered() -> None:
    members = (Member("meta.json", 2, "00" * 32), Member("message.eml", 3, "11" * 32))
    written = write_final(members)
    assert read_final(written) == members
    with pytest.raises(ValueError, match="not as the format says"):
        read_final(written.replace(b"11" * 32, b"22" * 32))


def test_the_content_hash_is_what_sha256sum_says_of_the_files(tmp_path: Path) -> None:
    files = {"meta.json": b"{}", "message.json": b"text", "media-1.jpg": bytes(1000)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    said = subprocess.run(["sha256sum", *files], cwd=tmp_path, capture_output=True, check=True).stdout
    members = [Member(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    assert content_hash(members) == hashlib.sha256(said).hexdigest()


def test_the_commitment_is_what_openssl_says(tmp_path: Path) -> None:
    content, salt = "0f" * 32, "ab" * 32
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{salt}"]
    said = subprocess.run(command, input=content.encode(), capture_output=True, check=True).stdout.decode()
    assert said.split("= ")[1].strip() == commitment(salt, content)


def test_the_message_is_told_from_what_was_written_about_it() -> None:
    about = ("meta.json", "auth.json", "dns/1.bin", "final.json")
    assert [n for n in (*about, "message.eml", "media-1.jpg") if is_original(Member(n, 0, ""))] == [
        "message.eml",
        "media-1.jpg",
    ]


@pytest.mark.parametrize(
    ("length", "padded"),
    [(0, 10_240), (10_240, 10_240), (10_241, 10_752), (16_384, 16_384), (16_385, 17_408), (1_000_000, 1_015_808)],
)
def test_padme_lengths_are_those_of_the_paper(length: int, padded: int) -> None:
    assert padme(length) == padded


@given(st.integers(0, 1 << 40))
def test_padding_takes_the_message_and_costs_at_most_an_eighth(length: int) -> None:
    padded = padme(length)
    assert padded >= max(length, 10_240)
    assert padded == 10_240 or padded <= length * 1.12
    assert padme(padded) == padded
    assert padded % 512 == 0


@settings(max_examples=60)
@given(
    st.lists(st.tuples(names, st.binary(max_size=3000)), max_size=4, unique_by=lambda part: part[0]),
    st.integers(1, 700),
    st.integers(1, 1500),
)
def test_a_record_reads_back_in_pieces_of_any_length(parts: list[tuple[str, bytes]], cut: int, step: int) -> None:
    def pieces(data: bytes) -> Iterator[bytes]:
        yield from (data[i : i + cut] for i in range(0, len(data), cut))

    plaintext = Plaintext(META, [Part(name, len(data), pieces(data)) for name, data in parts])
    written = b"".join(plaintext)
    assert len(written) == padme(len(written))
    reader, found = ustar.Reader(), {}
    for start in range(0, len(written), step):
        for piece in reader.feed(written[start : start + step]):
            found[piece.name] = found.get(piece.name, b"") + piece.data
            assert piece.last == (len(found[piece.name]) == piece.size)
    assert reader.ended
    assert [(name, found[name]) for name, _data in parts] == parts
    members = read_final(found["final.json"])
    assert [m.name for m in members] == ["meta.json", *(name for name, _data in parts), "auth.json"]
    assert plaintext.commitment == commitment(META.salt, content_hash(members))
    with tarfile.open(fileobj=io.BytesIO(written)) as tar:
        assert tar.getnames() == list(found)
        assert all(tar.extractfile(name).read() == data for name, data in found.items())  # type: ignore[union-attr]


PROVEN = Authentication(("abuser.example",), "mx.home.example; dmarc=pass header.from=abuser.example")


@pytest.mark.parametrize(
    ("said", "field", "authenticated"),
    [
        (None, "From", None),
        (PROVEN, "From", True),
        (PROVEN, "Reply-To", False),
        (PROVEN, "From name", False),
        (replace(PROVEN, domains=()), "From", False),
        (replace(PROVEN, domains=("other.example",)), "From", False),
    ],
)
def test_what_the_provider_said_of_the_sender_is_kept_with_a_mail(
    said: Authentication | None, field: str, authenticated: bool | None
) -> None:
    written = write_auth(replace(envelope(), authentication=said), replace(VERDICT, field=field))
    assert json.loads(written) == {
        "results": said.results if said else None,
        "domains": list(said.domains) if said else [],
        "authenticated": authenticated,
    }
    assert read_auth(written) is authenticated


def test_a_record_from_before_says_nothing_of_the_sender() -> None:
    assert read_auth(b"") is None


@pytest.mark.parametrize("damage", [b"{}", b"[]", b"\xff", b'{"authenticated": 1}', b'{"authenticated": "yes"}'])
def test_what_was_said_of_the_sender_is_read_as_the_format_says_or_not_at_all(damage: bytes) -> None:
    with pytest.raises(ValueError, match="not as the format says"):
        read_auth(damage)


def test_a_text_has_nothing_said_of_its_sender_and_no_part_takes_the_name() -> None:
    text = replace(META, envelope=replace(envelope(), channel=Channel.SMS))
    assert b"auth.json" not in b"".join(Plaintext(text, []))
    with pytest.raises(ValueError, match="the name of another"):
        list(Plaintext(text, [Part("auth.json", 1, [b"x"])]))


def test_the_stock_tar_reads_it(tmp_path: Path) -> None:
    (tmp_path / "f.tar").write_bytes(b"".join(Plaintext(META, [Part("message.eml", 3, [b"a\r\n"])])))
    subprocess.run(["tar", "-xf", "f.tar"], cwd=tmp_path, check=True)
    assert (tmp_path / "message.eml").read_bytes() == b"a\r\n"
    assert (tmp_path / "message.eml").stat().st_mtime == noon().timestamp()
    listed = subprocess.run(["tar", "-tvf", "f.tar"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert listed.splitlines()[0].startswith("-rw-------")


@pytest.mark.parametrize("name", ["../x", "/x", "a/b/c", "", ".x", "a b", "x" * 101, "ä", "a\n", "a/../b"])
def test_no_name_leads_out_of_the_folder_it_is_unpacked_in(name: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a record"):
        ustar.header(name, 1, 0)


def test_what_is_larger_than_tar_can_say_is_refused() -> None:
    assert ustar.header("x", 8**11 - 1, 0)
    with pytest.raises(ValueError, match="cannot stand in a record"):
        ustar.header("x", 8**11, 0)


@settings(max_examples=200)
@given(st.binary(min_size=512, max_size=2048))
def test_what_is_no_record_is_refused_and_never_raises_otherwise(data: bytes) -> None:
    reader = ustar.Reader()
    try:
        pieces = list(reader.feed(data))
    except ValueError:
        return
    assert reader.ended
    assert pieces == []
