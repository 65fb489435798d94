"""DKIM at arrival, with the DNS's own words kept; and years later, from the record alone. The DNS is on loopback."""

import base64
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd import mailhosts
from nocontactd.archive import landlock
from nocontactd.archive.charter import Charter
from nocontactd.archive.examined import KEPT, Overheard, as_list, read_findings
from nocontactd.archive.keys import mint
from nocontactd.archive.seal import Archive
from nocontactd.archive.unseal import Opened
from nocontactd.examiner import ALL, NONE, PROVIDERS, RECENT, SILENCE, DkimExaminer, examine_again, remarks
from nocontactd.export.bundle import Bundle
from nocontactd.model import Original, Part
from nocontactd.review.rows import row as as_row
from nocontactd.review.signed import checked_again, signed
from nocontactd.signatures import (
    BODY_OCTETS,
    FAIL,
    MOST,
    PASS,
    PERMERROR,
    TEMPERROR,
    Examined,
    Finding,
    signature,
    signatures,
)
from tests.archive_fixture import OWNER, THERAPIST, VERDICT, Made, envelope, made_archive, noon, ref
from tests.peers import missing
from tests.peers.dns import Nameserver, nameserver
from tests.transcripts import run

try:
    import dkim
    import dns.flags
    import dns.message
    import nacl.signing
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from nocontactd.dkim import Message, keys
except ImportError:
    missing("the extra `evidence` is not installed")

__all__ = ["made_archive"]

MAIL = (
    b"From: Alex <canary-ex@gmail.com>\r\nTo: me@home.example\r\nSubject: canary subject\r\n"
    b"Date: Sun, 22 Nov 2026 11:55:00 +0000\r\nMessage-ID: <1@mail.gmail.com>\r\n\r\nAnswer me.\r\n"
)
NAME = "s1._domainkey.gmail.com"
CONFIG = """\
blocked:
  - person: A.
    mail: [ex@abuser.example]
mail:
  - {source: home, host: 127.0.0.1, port: 9, security: none, user: me, password_file: pw}
archive: {path: archive}
state: {path: state}
"""


class Signer:
    """A key pair, and what it writes into the DNS."""

    def __init__(self, algorithm: bytes, private: bytes, record: str) -> None:
        self.algorithm, self.private, self.record = algorithm, private, record

    def sign(
        self, mail: bytes = MAIL, domain: bytes = b"gmail.com", selector: bytes = b"s1", **options: object
    ) -> bytes:
        field: bytes = dkim.sign(mail, selector, domain, self.private, signature_algorithm=self.algorithm, **options)
        return field + mail


def rsa_signer(bits: int = 2048) -> Signer:
    key = rsa.generate_private_key(65537, bits)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Signer(b"rsa-sha256", pem, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")


@pytest.fixture(scope="module")
def rsa_key() -> Signer:
    return rsa_signer()


@pytest.fixture(scope="module")
def ed25519_key() -> Signer:
    key = nacl.signing.SigningKey.generate()
    public = base64.b64encode(bytes(key.verify_key)).decode()
    return Signer(b"ed25519-sha256", base64.b64encode(bytes(key)), f"v=DKIM1; k=ed25519; p={public}")


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with nameserver() as running:
        yield running


def at() -> datetime:
    """dkimpy writes the time of today into t=."""
    return datetime.now(UTC)


def examine(server: Nameserver, octets: bytes, whose: str = PROVIDERS, size: int | None = None) -> Examined | None:
    examiner = DkimExaminer(whose, [server.server])
    return examiner.examine(octets[:KEPT], len(octets) if size is None else size, at(), at())


def told(examined: Examined | None) -> list[tuple[str, str, str]]:
    assert examined is not None
    return [(finding.result, finding.body, finding.why) for finding in examined.found]


def by_hand(
    octets: bytes, *records: str, moment: float | None = None, complete: bool = True
) -> list[tuple[str, str, str]]:
    """What the process comes to, without one: the DNS holds these records."""
    with nameserver() as server:
        if records:
            server.publish(NAME, *records)
        query = dns.message.make_query(f"{NAME}.", "TXT").to_wire()
        answer = server.reply(query, tcp=True)
    message = Message(octets, complete=complete)
    when = at().timestamp() if moment is None else moment
    return [
        message.examine(field, said, when, lambda _name: answer)
        for field in message.fields
        if (said := signature(field[1]))
    ]


# At arrival


@pytest.mark.parametrize("kind", ["rsa_key", "ed25519_key"])
def test_a_genuine_message_passes_and_the_answer_is_kept_as_it_came(
    kind: str, server: Nameserver, request: pytest.FixtureRequest
) -> None:
    signer: Signer = request.getfixturevalue(kind)
    server.publish(NAME, signer.record)
    server.behaves = "authentic"
    examined = examine(server, signer.sign())
    assert told(examined) == [(PASS, "whole", "")]
    assert examined is not None
    assert examined.found[0].signature.domain == "gmail.com"
    assert examined.found[0].signature.identity == "@gmail.com"
    assert examined.found[0].signature.algorithm == signer.algorithm.decode()
    assert examined.found[0].answer == "dns/0.wire"
    ((name, wire),) = examined.answers
    assert name == "dns/0.wire"
    assert dns.message.from_wire(wire).flags & dns.flags.AD, "the resolver said that DNSSEC vouches for it"
    assert keys(wire, NAME) == (signer.record.encode(),)
    assert server.asked == [f"{NAME} TXT"], "nothing else is asked for"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"Answer me.", b"Answer us.", (FAIL, "unchecked", "body")),
        (b"\r\n\r\nAnswer", b"\r\n\r\nP.S. Answer", (FAIL, "unchecked", "body")),
        (b"Subject: canary", b"Subject: another", (FAIL, "unchecked", "signature")),
        (b"From: Alex", b"From: Somebody <x@y.example>\r\nFrom: Alex", (FAIL, "unchecked", "signature")),
        (b"d=gmail.com", b"d=yahoo.com", (PERMERROR, "unchecked", "malformed")),
    ],
)
def test_what_was_altered_fails(rsa_key: Signer, old: bytes, new: bytes, expected: tuple[str, str, str]) -> None:
    mail = rsa_key.sign()
    assert mail.count(old) >= 1
    assert by_hand(mail.replace(old, new), rsa_key.record) == [expected]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((), (PERMERROR, "unchecked", "no-key")),
        (("v=DKIM1; k=rsa; p=",), (PERMERROR, "unchecked", "revoked")),
        (("v=DKIM1; k=rsa; p=AAAA",), (PERMERROR, "unchecked", "key")),
        (("v=spf1 -all",), (PERMERROR, "unchecked", "key")),
        (("v=DKIM1; k=ed25519; p=AAAA",), (PERMERROR, "unchecked", "key")),
    ],
)
def test_a_key_that_is_none_proves_nothing(
    rsa_key: Signer, records: Sequence[str], expected: tuple[str, str, str]
) -> None:
    assert by_hand(rsa_key.sign(), *records) == [expected]


def test_of_several_records_the_one_that_fits_counts(rsa_key: Signer, ed25519_key: Signer) -> None:
    records = ["v=spf1 -all", ed25519_key.record, rsa_key.record]
    assert by_hand(rsa_key.sign(), *records) == [(PASS, "whole", "")]


def test_a_short_key_proves_nothing() -> None:
    """RFC 8301, 3.2: below 1024 bits anybody can sign."""
    private = subprocess.run(["openssl", "genrsa", "-traditional", "768"], capture_output=True, check=True).stdout
    command = ["openssl", "rsa", "-pubout", "-outform", "DER"]
    public = subprocess.run(command, input=private, capture_output=True, check=True).stdout
    short = Signer(b"rsa-sha256", private, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")
    assert by_hand(short.sign(), short.record) == [(PERMERROR, "unchecked", "key")]


def test_sha1_proves_nothing(rsa_key: Signer) -> None:
    """RFC 8301, 3.1."""
    old = Signer(b"rsa-sha1", rsa_key.private, rsa_key.record)
    assert by_hand(old.sign(), old.record) == [(PERMERROR, "unchecked", "algorithm")]


def test_a_signature_that_leaves_from_out_is_none(rsa_key: Signer) -> None:
    field, _, rest = rsa_key.sign().partition(b"\r\nFrom:")
    mail = re.sub(rb"\bfrom\b", b"x-from", field) + b"\r\nFrom:" + rest
    assert by_hand(mail, rsa_key.record) == [(PERMERROR, "unchecked", "malformed")]


def test_text_behind_what_is_signed_is_said_to_be_unsigned(rsa_key: Signer) -> None:
    mail = rsa_key.sign(length=True)
    assert by_hand(mail + b"I will find you.\r\n", rsa_key.record) == [(PASS, "part", "")]


def test_an_expired_signature_is_one_that_was_expired_on_that_day(rsa_key: Signer) -> None:
    """Years later x= is always past, and that says nothing."""
    field, _, rest = rsa_key.sign().partition(b"; h=")
    mail = field + b"; x=2000000000; h=" + rest
    assert by_hand(mail, rsa_key.record, moment=2_100_000_000)[0][2] == "expired"
    assert by_hand(mail, rsa_key.record, moment=1_900_000_000)[0][2] == "signature", "x= was not signed"
    assert by_hand(rsa_key.sign(), rsa_key.record, moment=1_000_000_000)[0][2] == "future"


def test_of_a_long_message_the_header_alone_is_checked_and_that_is_said(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign(MAIL + b"x" * 70 + b"\r\n" * (BODY_OCTETS // 2))
    assert told(examine(server, mail)) == [(PASS, "unchecked", "")]


def test_a_body_of_just_the_most_is_checked(rsa_key: Signer) -> None:
    head = MAIL.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    line = b"y" * 62 + b"\r\n"
    mail = rsa_key.sign(head + line * (BODY_OCTETS // len(line)))
    assert by_hand(mail, rsa_key.record) == [(PASS, "whole", "")]
    assert by_hand(rsa_key.sign(head + line * (BODY_OCTETS // len(line)) + b"z"), rsa_key.record) == [
        (PASS, "unchecked", "")
    ]


# The DNS


def test_a_chain_of_names_is_followed_in_the_answer(server: Nameserver, rsa_key: Signer) -> None:
    server.publish("s1.dkim.example", rsa_key.record)
    server.zone |= {NAME: ["CNAME a.example."], "a.example": ["CNAME s1.dkim.example."]}
    examined = examine(server, rsa_key.sign())
    assert told(examined) == [(PASS, "whole", "")]
    assert server.asked == [f"{NAME} TXT"]


def test_a_truncated_answer_is_fetched_over_tcp(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    server.behaves = "truncated"
    assert told(examine(server, rsa_key.sign())) == [(PASS, "whole", "")]
    assert server.over_tcp == [NAME]


def test_a_huge_answer_is_kept_and_holds_up_nothing(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, *(f"v=DKIM1; n={n} {'x' * 5000}; p=AAAA" for n in range(12)))
    examined = examine(server, rsa_key.sign())
    assert told(examined) == [(PERMERROR, "unchecked", "key")]
    assert examined is not None
    assert 60_000 < len(examined.answers[0][1]) < 65_536


def test_a_server_that_cannot_find_out_is_no_evidence(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    server.behaves = "servfail"
    examined = examine(server, rsa_key.sign())
    assert told(examined) == [(TEMPERROR, "unchecked", "no-answer")]
    assert examined is not None
    assert examined.answers == ()
    assert server.asked == [f"{NAME} TXT"], "and is not asked again and again"


def test_forged_and_spoilt_answers_are_waited_past(server: Nameserver, rsa_key: Signer) -> None:
    """Until the time is over: the true one may come behind them."""
    with nameserver() as other:
        for each, behaviour in ((server, "garbage"), (other, "forged")):
            each.publish(NAME, rsa_key.record)
            each.behaves = behaviour
        mail = rsa_key.sign()
        began = time.monotonic()
        examiner = DkimExaminer(PROVIDERS, [server.server, other.server])
        assert told(examiner.examine(mail, len(mail), at(), at())) == [(TEMPERROR, "unchecked", "no-answer")]
        assert time.monotonic() - began < 6.5


def test_the_second_server_is_asked_where_the_first_cannot_find_out(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign()
    with nameserver() as first:
        first.behaves = "servfail"
        examiner = DkimExaminer(PROVIDERS, [first.server, server.server])
        assert told(examiner.examine(mail, len(mail), at(), at())) == [(PASS, "whole", "")]


def test_silence_costs_one_message_its_time_and_then_nobody_is_asked_for_a_while(
    server: Nameserver, rsa_key: Signer
) -> None:
    """So a sweep of hundreds of messages does not wait for each of them."""
    server.publish(NAME, rsa_key.record)
    server.behaves = "silent"
    clock = [1000.0]
    examiner = DkimExaminer(PROVIDERS, [server.server], lambda: clock[0])
    mail = rsa_key.sign()
    began = time.monotonic()
    assert told(examiner.examine(mail, len(mail), at(), at())) == [(TEMPERROR, "unchecked", "no-answer")]
    assert time.monotonic() - began < 6.5
    server.behaves = ""
    asked = len(server.asked)
    assert examiner.examine(mail, len(mail), at(), at()) is None
    assert len(server.asked) == asked
    clock[0] += SILENCE
    assert told(examiner.examine(mail, len(mail), at(), at())) == [(PASS, "whole", "")]


@pytest.mark.soak
def test_eight_silent_domains_take_no_longer_than_one_message_may(server: Nameserver, rsa_key: Signer) -> None:
    server.behaves = "silent"
    mail = MAIL
    for n in range(MOST):
        mail = rsa_key.sign(mail, selector=b"s%d" % n)
    began = time.monotonic()
    found = told(examine(server, mail))
    assert time.monotonic() - began < 7
    assert len(found) == MOST
    assert {result for result, _, _ in found} == {TEMPERROR}


# Whom it tells what


@pytest.mark.parametrize(
    ("domain", "whose", "asked"),
    [
        (b"gmail.com", PROVIDERS, True),
        (b"GMail.com", PROVIDERS, True),
        (b"x.20230601.gappssmtp.com", PROVIDERS, True),
        (b"abuser.example", PROVIDERS, False),
        (b"gmail.com.abuser.example", PROVIDERS, False),
        (b"sub.gmail.com", PROVIDERS, False),
        (b"evilgmail.com", PROVIDERS, False),
        (b"abuser.example", ALL, True),
        (b"gmail.com", NONE, False),
    ],
)
def test_only_whose_dns_no_sender_can_watch_is_asked_unless_the_owner_wants_it(
    server: Nameserver, rsa_key: Signer, domain: bytes, whose: str, asked: bool
) -> None:
    """Who runs the name server of a selector made for this message would see when and from where it is asked for."""
    examined = examine(server, rsa_key.sign(domain=domain), whose)
    assert bool(server.asked) is asked
    assert (examined is not None) is asked


def test_a_second_signature_by_somebody_else_is_not_asked_for(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign(rsa_key.sign(), domain=b"abuser.example", selector=b"made-for-this")
    assert told(examine(server, mail)) == [(PASS, "whole", "")]
    assert server.asked == [f"{NAME} TXT"]


@pytest.mark.parametrize(
    "tag",
    [
        b"s=x.abuser.example.; d=gmail.com",
        b"s=a\\.b; d=gmail.com",
        b"s=a b; d=gmail.com",
        b"s=\xc3\xa9; d=gmail.com",
        b"s=" + b"a" * 64 + b"; d=gmail.com",
        b"s=" + b"a." * 130 + b"a; d=gmail.com",
        b"s=; d=gmail.com",
        b"s=a\0; d=gmail.com",
        b"s=a; d=gmail.com; d=abuser.example",
        b"s=a; d=gmail.com.",
        b"s=*; d=gmail.com",
        b"s=a/../b; d=gmail.com",
        b"s=a\r\n b; d=gmail.com",
    ],
)
def test_nothing_but_letters_digits_and_hyphens_is_ever_asked_for(tag: bytes) -> None:
    assert signature(b" v=1; a=rsa-sha256; " + tag + b"; h=from; bh=AAAA; b=AAAA") is None


def test_an_old_message_is_not_asked_for(server: Nameserver, rsa_key: Signer) -> None:
    """A sweep of years: its keys are gone, and a query now would be news to somebody."""
    server.publish(NAME, rsa_key.record)
    examiner = DkimExaminer(ALL, [server.server])
    mail = rsa_key.sign()
    now, first, last = at(), datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for arrived in (now - RECENT, now + RECENT, first, last):
        assert examiner.examine(mail, len(mail), arrived, now) is None
    assert server.asked == []


def test_the_resolver_is_told_to_pass_on_nothing_of_this_machines_address(rsa_key: Signer) -> None:
    with nameserver() as server:
        seen: list[bytes] = []
        reply = server.reply
        server.reply = lambda wire, tcp: (seen.append(wire), reply(wire, tcp=tcp))[1]  # type: ignore[method-assign]
        examine(server, rsa_key.sign())
    (option,) = dns.message.from_wire(seen[0]).options
    assert (option.address, option.srclen) == ("0.0.0.0", 0)


def test_the_listed_providers_are_names_as_they_are_compared() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host) for host in mailhosts._SHARED)
    assert all(mailhosts.unwatched(host) for host in mailhosts._SHARED)


# Hostile headers


def hostile() -> Iterator[tuple[str, bytes]]:
    field = b"DKIM-Signature: v=1; a=rsa-sha256; d=gmail.com; s=s1; h=from; bh=AAAA; b=AAAA\r\n"
    yield "thousands of signatures", field * 3000 + MAIL
    yield "a header without an end", b"X: " + b"y" * (1 << 20)
    yield "a million signed names", field.replace(b"h=from", b"h=from:" + b"a:" * 7000) + MAIL
    yield "a signature of a megabyte", field.replace(b"b=AAAA\r", b"b=" + b"A" * (1 << 20) + b"\r") + MAIL
    yield "a run of folds", field.replace(b"b=AAAA\r", b"b=AAAA" + b"\r\n " * 5000 + b"!\r") + MAIL
    yield "thousands of fields", field + b"a:\r\n" * 40_000 + MAIL
    yield "a line that is no field", field + b"no field at all\r\n" + MAIL
    yield "begins with a fold", b" folded\r\n" + field + MAIL
    yield "nothing", b""
    yield "only a field", field
    yield "no octet but zeros", bytes(4096)
    yield "a body of blanks", field.replace(b"v=1", b"v=1; c=relaxed/relaxed") + MAIL + b" " * (BODY_OCTETS - 100)


@pytest.mark.parametrize(("name", "mail"), hostile(), ids=[name for name, _ in hostile()])
def test_a_hostile_message_costs_seconds_at_most_and_proves_nothing(
    name: str, mail: bytes, server: Nameserver, rsa_key: Signer
) -> None:
    server.publish(NAME, rsa_key.record)
    began = time.monotonic()
    examined = examine(server, mail)
    assert time.monotonic() - began < 7
    found = examined.found if examined else ()
    assert len(found) <= MOST
    assert PASS not in {finding.result for finding in found}
    assert len(server.asked) <= 1


def test_a_genuine_signature_over_a_body_that_takes_hours_is_given_up(server: Nameserver, rsa_key: Signer) -> None:
    """Anybody who writes from there can send one: it costs the child its time, and its answer is nobody's."""
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign(canonicalize=(b"relaxed", b"relaxed")) + b" " * (BODY_OCTETS - 100) + b"!"
    began = time.monotonic()
    examined = examine(server, mail)
    assert time.monotonic() - began < 7
    assert told(examined) == [(TEMPERROR, "unchecked", "time")]


def test_reading_the_signatures_takes_linear_time() -> None:
    for mail in (b"DKIM-Signature: " + b";" * 200_000, b"dkim-signature" * 20_000, b"dkim-signature:\n " * 15_000):
        began = time.monotonic()
        assert signatures(mail + b"\r\n\r\n") == ()
        assert time.monotonic() - began < 1


def test_any_octets_are_read_without_an_error() -> None:
    import random

    chance = random.Random(4)
    for _round in range(300):
        octets = bytes(chance.choices(b"dkim-signature:DKIM \t\r\n;=sdbha/gmailcom.1\xff\0", k=400))
        for said in signatures(b"DKIM-Signature:" + octets + b"\r\n\r\n"):
            assert re.fullmatch(r"[a-z0-9_.-]+", said.key)


# In the record, and out of it


def sealed_mail(archive: Archive, mail: bytes, pieces: int = 1 << 20) -> None:
    chunks = (mail[start : start + pieces] for start in range(0, len(mail), pieces))
    with archive.batch([ref()]) as batch:
        part = Part("message.eml", len(mail), chunks)
        batch.add(batch.records[0], Original(envelope(), iter([part])), VERDICT)
        batch.commit()


@dataclass(frozen=True)
class Sealed:
    """A record, and the archive it is in."""

    archive: Made
    record: str

    def lines(self) -> list[str]:
        return list(signed(self.archive.opener(), self.record))

    def files(self) -> dict[str, bytes]:
        """Every member in its order."""
        found: dict[str, _Kept] = {}
        self.archive.opener().extract(self.record, lambda name: found.setdefault(name, _Kept()))
        return {name: file.getvalue() for name, file in found.items()}


class _Kept(io.BytesIO):
    def close(self) -> None: ...


@pytest.fixture
def sealed(made_archive: Made, server: Nameserver, rsa_key: Signer) -> Sealed:
    """A record of a signed message; afterwards its key is rotated away."""
    server.publish(NAME, rsa_key.record)
    made = seal(made_archive, DkimExaminer(PROVIDERS, [server.server]), rsa_key.sign())
    server.zone.clear()
    server.asked.clear()
    return made


def seal(made: Made, examiner: DkimExaminer | None, mail: bytes) -> Sealed:
    """Today, for dkimpy writes today into t=."""
    archive = Archive(made.path, made.log_key, at, mint=_minted, examiner=examiner)
    with archive.lock():
        archive.recover()
        with archive.batch([ref()]) as batch:
            chunks = (mail[start : start + (1 << 20)] for start in range(0, len(mail), 1 << 20))
            part = Part("message.eml", len(mail), chunks)
            batch.add(batch.records[0], Original(replace(envelope(), arrived=at()), iter([part])), VERDICT)
            (receipt,) = batch.commit()
    archive.close()
    return Sealed(made, receipt.record)


def _minted(law: Charter) -> tuple[str, bytes]:
    return mint(law.owner, law.others)


def test_a_record_holds_what_was_found_and_the_answers_behind_the_original_in_this_order(sealed: Sealed) -> None:
    files = sealed.files()
    assert list(files) == ["meta.json", "message.eml", "auth.json", "dns/0.wire"]
    (said,) = json.loads(files["auth.json"])["dkim"]
    assert (said["domain"], said["selector"], said["result"], said["body"], said["answer"]) == (
        *("gmail.com", "s1", "pass", "whole", "dns/0.wire"),
    )
    assert b"v=DKIM1" in files["dns/0.wire"]
    (opened,) = sealed.archive.opened()
    assert [member.name for member in opened.members] == ["message.eml"], "the message is one file as before"


def test_stock_age_and_tar_show_the_answers(sealed: Sealed, tmp_path: Path) -> None:
    (tmp_path / "day.key").write_text(sealed.archive.opener().day_keys(sealed.record[:10])[0] + "\n")
    record = sealed.archive.path / "mail" / f"{sealed.record}.age"
    subprocess.run(["age", "-d", "-i", tmp_path / "day.key", "-o", tmp_path / "f.tar", record], check=True)
    listed = subprocess.run(["tar", "-tf", tmp_path / "f.tar"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["meta.json", "message.eml", "auth.json", "dns/0.wire", "final.json"]


@pytest.mark.parametrize("since", ["rotated", "revoked"])
def test_the_record_proves_it_after_the_key_has_gone_and_asks_nobody(
    sealed: Sealed, server: Nameserver, since: str
) -> None:
    if since == "revoked":
        server.publish(NAME, "v=DKIM1; p=")
    assert sealed.lines() == ["gmail.com: pass at arrival; checked again with the key as it was then: the same"]
    assert server.asked == []


def test_checking_again_opens_no_socket(sealed: Sealed, tmp_path: Path) -> None:
    """Watched from outside: the process that checks again makes no socket at all, whether the key was kept or not."""
    files = sealed.files()
    answer = base64.b64encode(files["dns/0.wire"]).decode()
    order = {"everybody": True, "servers": None, "moment": time.time(), "complete": True}
    for answers, expected in (({NAME: answer}, PASS), ({}, TEMPERROR)):
        line = json.dumps({**order, "answers": answers}).encode() + b"\n"
        done = subprocess.run(
            ["strace", "-f", "-e", "trace=socket", "-o", tmp_path / "calls", sys.executable, "-m", "nocontactd.dkim"],
            input=line + files["message.eml"],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        assert [json.loads(said)["found"][0] for said in done.stdout.splitlines()] == [expected]
        assert "socket(" not in (tmp_path / "calls").read_text()


def test_a_kept_answer_of_another_name_is_none(sealed: Sealed) -> None:
    with pytest.raises(ValueError, match="another question"):
        keys(sealed.files()["dns/0.wire"], "s2._domainkey.gmail.com")


def test_what_does_not_agree_any_more_is_said(sealed: Sealed) -> None:
    """Of files that were altered outside the archive; inside, the record's own hashes say so."""
    files = sealed.files()
    size = len(files["message.eml"])
    altered = {**files, "message.eml": files["message.eml"].replace(b"Answer me", b"Answer us")}
    assert "NOT THE SAME" in next(checked_again(altered, size, at()))
    unkept = {**files, "auth.json": files["auth.json"].replace(b'"dns/0.wire"', b"null")}
    assert "no key was kept" in next(checked_again(unkept, size, at()))
    assert list(checked_again({**files, "auth.json": b"[]"}, size, at())) == [
        "what was sealed of its signatures cannot be read"
    ]
    assert list(checked_again({"message.eml": b"x"}, 1, at())) == []


def test_evidence_holds_the_answers_and_says_what_they_prove(
    sealed: Sealed, server: Nameserver, tmp_path: Path
) -> None:
    opener = sealed.archive.opener()
    rows = [row for item in opener.messages([sealed.record[:10]]) if isinstance(item, Opened) and (row := as_row(item))]
    bundle = Bundle(opener, sealed.archive.path, tmp_path / "out", at(), "the owner and the therapist")
    assert bundle.write(rows, lambda _done, _all: None) == ()
    stem = sealed.record.replace("/", "-")
    assert (tmp_path / "out" / "proofs" / stem / "dns" / "0.wire").read_bytes() == sealed.files()["dns/0.wire"]
    line = "gmail.com: pass at arrival; checked again with the key as it was then: the same"
    assert f"signed by         {line}\n" in (tmp_path / "out" / "custody.txt").read_text()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["messages"][0]["signed"] == [line]
    check = [sys.executable, "-I", tmp_path / "out" / "check.py"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, "dns/0.wire is dns/0.wire, octet for octet" in done.stdout) == (0, True)
    assert server.asked == []


def test_review_checks_signatures_again_where_it_is_asked_to(sealed: Sealed) -> None:
    home = sealed.archive.path.parent
    for name, text in {"owner": OWNER, "therapist": THERAPIST, "pw": "p", "c.yaml": CONFIG}.items():
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    command = (
        "nocontact --config c.yaml review --text --owner-passphrase-file owner --therapist-passphrase-file therapist"
    )
    line = "  signed    gmail.com: pass at arrival; checked again with the key as it was then: the same"
    assert line in run(f"{command} --signatures", home).out.splitlines()
    assert "signed" not in run(command, home).out


def test_a_message_of_25_megabytes_is_sealed_with_its_header_checked(
    made_archive: Made, server: Nameserver, rsa_key: Signer
) -> None:
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign(MAIL + b"0123456789abcdef\r\n" * (25 * 1024 * 1024 // 18), canonicalize=(b"relaxed", b"simple"))
    made = seal(made_archive, DkimExaminer(PROVIDERS, [server.server]), mail)
    (said,) = json.loads(made.files()["auth.json"])["dkim"]
    assert (said["result"], said["body"]) == ("pass", "unchecked")


def test_no_more_of_a_message_is_held_than_is_checked() -> None:
    seen: list[int] = []

    class Measuring:
        def examine(self, octets: bytes, size: int, arrived: datetime, now: datetime) -> Examined | None:
            seen.append(len(octets))
            return None

    overheard = Overheard(Measuring())
    part = overheard.part(Part("message.eml", 50 << 20, (bytes(1 << 20) for _ in range(50))))
    assert sum(map(len, part.chunks)) == 50 << 20
    overheard.examined(noon(), noon())
    assert seen == [KEPT]


@pytest.mark.parametrize("examiner", [None, DkimExaminer(NONE)])
def test_without_anybody_who_looks_the_record_is_as_it_always_was(
    made_archive: Made, rsa_key: Signer, examiner: DkimExaminer | None
) -> None:
    made = seal(made_archive, examiner, rsa_key.sign())
    files = made.files()
    assert not [name for name in files if name.startswith("dns/")]
    assert read_findings(files.get("auth.json", b"")) == ()
    assert made.lines() == []


def test_without_the_libraries_nothing_is_asked_and_nothing_breaks(rsa_key: Signer, server: Nameserver) -> None:
    program = (
        "import sys, datetime\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('dkim', 'dns', 'nacl'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "import importlib.util\n"
        "from nocontactd import examiner, assemble\n"
        "octets = sys.stdin.buffer.read()\n"
        "now = datetime.datetime.now(datetime.UTC)\n"
        "examiner.importlib.util.find_spec = lambda name: None\n"
        "print(examiner.DkimExaminer('all').examine(octets, len(octets), now, now))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=rsa_key.sign(), capture_output=True, check=True)
    assert done.stdout.strip() == b"None"


def test_the_daemon_loads_neither_library() -> None:
    """Their memory, and their parsers, are the child's."""
    program = (
        "import sys, nocontactd.service, nocontactd.examiner\n"
        "sys.exit({'dkim', 'dns', 'nacl'} & sys.modules.keys() != set())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_it_works_where_the_kernel_keeps_the_daemon_from_what_it_sealed(
    server: Nameserver, rsa_key: Signer, tmp_path: Path
) -> None:
    (tmp_path / "archive" / "mail").mkdir(parents=True)
    if landlock.hindrance(tmp_path / "archive", ()):
        missing("this kernel has no Landlock")
    server.publish(NAME, rsa_key.record)
    program = (
        "import sys, datetime, pathlib\n"
        "from nocontactd.archive import landlock\n"
        "from nocontactd.examiner import DkimExaminer\n"
        "landlock.shut(pathlib.Path(sys.argv[1]))\n"
        "octets, now = sys.stdin.buffer.read(), datetime.datetime.now(datetime.UTC)\n"
        "examiner = DkimExaminer('providers', [('127.0.0.1', int(sys.argv[2]))])\n"
        "print(examiner.examine(octets, len(octets), now, now).found[0].result)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "archive", str(server.server[1])]
    done = subprocess.run(command, input=rsa_key.sign(), capture_output=True, check=True)
    assert done.stdout == b"pass\n"


def test_the_owner_is_told_what_is_not_checked_and_who_may_see_it() -> None:
    assert list(remarks(PROVIDERS)) == list(remarks(NONE)) == []
    assert ["`dkim: all`" in remark for remark in remarks(ALL)] == [True]


def test_several_threads_may_use_one(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    examiner = DkimExaminer(PROVIDERS, [server.server])
    mail = rsa_key.sign()
    results: list[list[tuple[str, str, str]]] = []
    threads = [
        threading.Thread(target=lambda: results.append(told(examiner.examine(mail, len(mail), at(), at()))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[(PASS, "whole", "")]] * 3


def test_nothing_is_written_to_the_terminal_or_a_log(
    server: Nameserver, rsa_key: Signer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="")
    server.publish(NAME, "v=DKIM1; k=rsa; p=canary")
    examine(server, rsa_key.sign())
    by_hand(rsa_key.sign().replace(b"Answer", b"canary"), rsa_key.record)
    by_hand(rsa_key.sign(), "v=DKIM1; k=canary; p=AAAA")
    with pytest.raises(ValueError, match="cannot be read"):
        Message(b"canary\r\n\r\n", complete=True)
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_what_is_written_of_findings_is_read_back() -> None:
    said = signature(b"v=1; a=rsa-sha256; d=gmail.com; s=s1; i=\xff@gmail.com; h=from; bh=A; b=A")
    assert said is not None
    findings = (Finding(said, PASS, "whole", "", "dns/0.wire"), Finding(said, TEMPERROR, "unchecked", "time"))
    auth = json.dumps({"dkim": as_list(Examined(findings, ())), "other": 1}).encode()
    assert read_findings(auth) == findings
    assert read_findings(b"") == ()
    for damaged in (b"[]", b"{", b'{"dkim": [1]}', b'{"dkim": 1}', b'{"dkim": [{}]}', b"[" * 100_000):
        with pytest.raises(ValueError):
            read_findings(damaged)


def test_an_answer_that_was_not_kept_is_not_looked_for_elsewhere(server: Nameserver, rsa_key: Signer) -> None:
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign()
    said = signatures(mail)[0]
    findings = (Finding(said, PASS, "whole", "", "dns/0.wire"),)
    assert examine_again(mail, len(mail), findings, {}, at()) == ()


def test_years_later_the_same_is_found(server: Nameserver, rsa_key: Signer) -> None:
    """x= and t= are compared with the day of sealing."""
    server.publish(NAME, rsa_key.record)
    mail = rsa_key.sign()
    examined = examine(server, mail)
    assert examined is not None
    then = at()
    assert examine_again(mail, len(mail), examined.found, dict(examined.answers), then)[0].result == PASS
    before = then - timedelta(days=400)
    assert examine_again(mail, len(mail), examined.found, dict(examined.answers), before)[0].why == "future"
