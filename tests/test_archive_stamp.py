"""Time-stamps by an authority outside: made by a real one over HTTP, and believed only if they are what they say."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nocontactd.archive.stamp import Authority, Stamp, stamped
from nocontactd.errors import SourceError
from tests.peers import timestamper
from tests.peers.timestamper import Timestamper, serving

NOTE = b"nocontactd.invalid/0000000000000000\n3\nAAAA\n\n- a signature\n"


def examine(response: bytes, note: bytes, ca_file: Path | None) -> Stamp:
    return Authority(ca_file).examine(response, note)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Timestamper:
    return timestamper.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def authority(made: Timestamper) -> Iterator[Timestamper]:
    made.answer, made.status = None, 200
    made.asked.clear()
    with serving(made):
        yield made


def test_a_stamp_is_what_openssl_calls_one(authority: Timestamper, tmp_path: Path) -> None:
    """The raw token beside the octets that it is about: as the documents say, openssl alone is enough."""
    (tmp_path / "x.note").write_bytes(NOTE)
    (tmp_path / "x.tsr").write_bytes(stamped(NOTE, authority.url, authority.root))
    command = ["openssl", "ts", "-verify", "-data", "x.note", "-in", "x.tsr", "-CAfile", str(authority.root)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout
    (tmp_path / "x.note").write_bytes(NOTE + b"x")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_stamp_tells_its_moment_and_only_of_its_own_octets(authority: Timestamper) -> None:
    response = stamped(NOTE, authority.url, authority.root)
    moment = examine(response, NOTE, authority.root).moment
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    with pytest.raises(ValueError, match="about something else"):
        examine(response, NOTE + b"x", authority.root)


def test_nothing_but_a_hash_goes_out(authority: Timestamper) -> None:
    stamped(NOTE, authority.url, authority.root)
    assert len(authority.asked) == 1
    assert NOTE not in authority.asked[0]
    assert len(authority.asked[0]) < 100


def test_a_stamp_is_believed_only_by_a_certificate_that_is_trusted(authority: Timestamper, tmp_path: Path) -> None:
    """Neither another authority's nor, without `ca_file`, one that this system does not know."""
    response = stamped(NOTE, authority.url, authority.root)
    other = timestamper.make(tmp_path / "other")
    with pytest.raises(ValueError, match="nobody who is trusted"):
        examine(response, NOTE, other.root)
    with pytest.raises(ValueError, match="nobody who is trusted"):
        examine(response, NOTE, None)
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ValueError, match="no certificates"):
        examine(response, NOTE, tmp_path / "empty.pem")


@pytest.mark.parametrize("chain", [("signer.pem", "root.pem"), ("root.pem", "signer.pem")])
def test_a_chain_in_an_order_that_is_not_ders_is_read_all_the_same(
    made: Timestamper, tmp_path: Path, chain: tuple[str, ...]
) -> None:
    """openssl's own authority sends its certificates as it finds them: in one of two orders DER's is broken."""
    (made.folder / "chain.pem").write_bytes(b"".join((made.folder / name).read_bytes() for name in chain))
    config = (made.folder / "tsa.cnf").read_text()
    (made.folder / "tsa.cnf").write_text(f"{config}certs = chain.pem\n")
    try:
        with serving(made):
            response = stamped(NOTE, made.url, made.root)
    finally:
        (made.folder / "tsa.cnf").write_text(config)
    assert examine(response, NOTE, made.root)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (500, b"", "status 500"),
        (200, b"", "no time-stamp"),
        (200, b"<html>", "no time-stamp"),
        (200, b"0" * 300_000, "no time-stamp"),
    ],
)
def test_an_authority_that_does_not_stamp_is_said_plainly(
    authority: Timestamper, status: int, answer: bytes, told: str
) -> None:
    authority.status, authority.answer = status, answer
    with pytest.raises(SourceError, match=told):
        stamped(NOTE, authority.url, authority.root)


def test_an_older_answer_is_refused(authority: Timestamper) -> None:
    """Each request has a number of its own (nonce): somebody on the way cannot send yesterday's stamp."""
    authority.answer = stamped(NOTE, authority.url, authority.root)
    with pytest.raises(SourceError, match="another request"):
        stamped(NOTE, authority.url, authority.root)


def test_a_refusal_of_the_authority_is_told(authority: Timestamper) -> None:
    (authority.folder / "tsa.cnf").write_text(timestamper.CONFIG.replace("digests = sha256", "digests = sha512"))
    try:
        with pytest.raises(SourceError, match="refused"):
            stamped(NOTE, authority.url, authority.root)
    finally:
        (authority.folder / "tsa.cnf").write_text(timestamper.CONFIG)


def test_nobody_there_is_told_without_saying_whom_was_asked() -> None:
    with pytest.raises(SourceError, match="cannot be reached") as told:
        stamped(NOTE, "http://127.0.0.1:1/secret-place", None)
    assert "secret-place" not in told.value.message


@pytest.mark.parametrize("response", [b"", b"0", b"0\x80", b"0\x84\xff\xff\xff\xff", bytes(range(256))])
def test_what_is_no_stamp_is_never_an_error_of_another_kind(response: bytes, made: Timestamper) -> None:
    with pytest.raises(ValueError, match="no time-stamp"):
        examine(response, NOTE, made.root)


def test_no_octet_of_a_stamp_can_be_altered(authority: Timestamper) -> None:
    """Every fifth, for time: either it is refused, or it says the same (its unsigned parts hold nothing)."""
    response = stamped(NOTE, authority.url, authority.root)
    moment = examine(response, NOTE, authority.root).moment
    for at in range(0, len(response), 5):
        altered = response[:at] + bytes([response[at] ^ 1]) + response[at + 1 :]
        try:
            assert examine(altered, NOTE, authority.root).moment == moment
        except ValueError:
            continue
