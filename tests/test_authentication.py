"""Who is believed about a sender: the owner's own provider in its own topmost field, and nothing else."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd import address, authentication, headers
from nocontactd.headers.results import FIELD_OCTETS, HEADER_OCTETS, results
from nocontactd.model import Authentication, Author, Channel, Disposition, Envelope, Notice, Verdict
from tests.recognition import REF, THEN

HOME = ("mx.home.example",)
PASS = "mx.home.example; dmarc=pass header.from=court.example"


def said(*results: str, sender: str = "clerk@court.example", field: str = "Authentication-Results") -> Authentication:
    """What a message with these fields, the topmost first, is taken for."""
    lines = "".join(f"{field}: {each}\r\n" for each in results)
    found = authentication.of(f"{lines}From: {sender}\r\nSubject: x\r\n\r\nHi.\r\n".encode(), HOME)
    assert found is not None
    return found


def domains(*results: str, sender: str = "clerk@court.example") -> tuple[str, ...]:
    return said(*results, sender=sender).domains


PROVEN = [
    PASS,
    "mx.home.example;\r\n\tdmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=court.example",
    "mx.home.example; spf=pass smtp.mailfrom=x@bulk.example; dmarc=pass header.from=Court.Example.",
    "mx.home.example 1; dmarc=pass header.from=court.example",
    "MX.Home.Example; DMARC=Pass Header.From=court.example",
    '"mx.home.example"; dmarc=pass header.from="court.example"',
    "(a (nested\\)) one) mx.home.example (c) 1 (c); (c) dmarc (c) = (c) pass (c) header (c) . (c) from = court.example",
    "mx.home.example; dmarc/1=pass header.from=court.example",
    'mx.home.example; dmarc=pass reason="p=none; it says" header.from=court.example policy.dmarc=none',
    "mx.home.example; dkim=pass header.d=court.example header.s=k1 header.b=abCd/1+2",
    "mx.home.example; dkim=pass header.i=@court.example header.s=k1",
    "mx.home.example; dkim=pass header.i=clerk@court.example header.d=court.example",
    'mx.home.example; dkim=pass header.i="odd clerk"@court.example',
    "mx.home.example; dkim=fail header.d=bulk.example; dkim=pass header.d=court.example",
    "mx.home.example; dkim=pass header.d=court.example; dmarc=none header.from=court.example",
    "mx.home.example; spf=pass smtp.mailfrom=SRS0=a=b=c.example=d@e.example; dmarc=pass header.from=court.example",
]


@pytest.mark.parametrize("field", PROVEN)
def test_the_domain_of_from_is_proven(field: str) -> None:
    assert domains(field) == ("court.example",)


UNPROVEN = {
    "nothing was found": "mx.home.example; none",
    "there are no results": "mx.home.example",
    "dmarc failed": "mx.home.example; dmarc=fail header.from=court.example",
    "no policy is no pass": "mx.home.example; dmarc=bestguesspass header.from=court.example",
    "it says of what domain it passed, and it is another": "mx.home.example; dmarc=pass header.from=other.example",
    "it does not say of what domain": "mx.home.example; dmarc=pass",
    "a domain that ends alike": "mx.home.example; dmarc=pass header.from=notcourt.example",
    "a domain that begins alike": "mx.home.example; dmarc=pass header.from=court.example.org",
    "the domain stands twice": "mx.home.example; dmarc=pass header.from=court.example header.from=x.example",
    "dmarc stands twice": f"mx.home.example; dmarc=fail header.from=x.example; {PASS.partition('; ')[2]}",
    "dkim cannot overrule dmarc": "mx.home.example; dmarc=fail; dkim=pass header.d=court.example",
    "spf says nothing of From": "mx.home.example; spf=pass smtp.mailfrom=clerk@court.example",
    "iprev neither": "mx.home.example; iprev=pass policy.iprev=192.0.2.1 header.from=court.example",
    "signed by somebody else": "mx.home.example; dkim=pass header.d=bulk.example",
    "signed below": "mx.home.example; dkim=pass header.d=mail.court.example",
    "signed by the top level": "mx.home.example; dkim=pass header.d=example",
    "i is not within d": "mx.home.example; dkim=pass header.d=court.example header.i=@bulk.example",
    "the property is of another type": "mx.home.example; dmarc=pass smtp.from=court.example body.from=court.example",
    "in a comment": "mx.home.example; spf=pass (; dmarc=pass header.from=court.example)",
    "in a quoted value": 'mx.home.example; spf=pass smtp.helo="; dmarc=pass header.from=court.example"',
    "in a reason": 'mx.home.example; spf=pass reason="x; dmarc=pass header.from=court.example"',
    "a comment that never ends": "mx.home.example; dmarc=pass header.from=court.example (",
    "a quote that never ends": 'mx.home.example; dmarc=pass header.from=court.example; spf=pass x.y="',
    "another version of the field": "mx.home.example 2; dmarc=pass header.from=court.example",
    "another version of the method": "mx.home.example; dmarc/2=pass header.from=court.example",
    "words too many": "mx.home.example; dmarc=pass header.from=court.example and so on",
    "an equals sign too many": "mx.home.example; dmarc==pass header.from=court.example",
}
MALFORMED = {"a comment that never ends", "a quote that never ends"}


@pytest.mark.parametrize("why", UNPROVEN)
def test_nothing_is_proven_where(why: str) -> None:
    found = authentication.of(
        f"Authentication-Results: {UNPROVEN[why]}\r\nFrom: clerk@court.example\r\n\r\n".encode(), HOME
    )
    assert found is None if why in MALFORMED else found is not None and found.domains == ()


NOT_THE_PROVIDERS = {
    "another server": f"Authentication-Results: mx.evil.example; {PASS.partition('; ')[2]}",
    "a name that ends alike": f"Authentication-Results: x{PASS}",
    "a name below": f"Authentication-Results: a.{PASS}",
    "a name that begins alike": f"Authentication-Results: {PASS.replace(';', '.evil.example;', 1)}",
    "a root dot": f"Authentication-Results: {PASS.replace(';', '.;', 1)}",
    "a letter that folds to an ASCII one": f"Authentication-Results: {PASS.replace('m', 'ｍ', 1)}",
    "the name in a comment": f"Authentication-Results: ({PASS.partition(';')[0]}) x; {PASS.partition('; ')[2]}",
    "no name, as Microsoft writes it": f"Authentication-Results: {PASS.partition('; ')[2]}",
    "the chain's field": f"ARC-Authentication-Results: i=1; {PASS}",
    "an old field": f"X-Authentication-Results: {PASS}",
    "Microsoft's other field": f"Authentication-Results-Original: {PASS}",
    "white space before the colon": f"Authentication-Results : {PASS}",
    "white space before the name": f"X: y\r\n Authentication-Results: {PASS}",
    "below what is no field": f"garbage\r\nAuthentication-Results: {PASS}",
    "below an empty line": f"X: y\r\n\r\nAuthentication-Results: {PASS}",
    "behind a bare CR": f"X: y\rAuthentication-Results: {PASS}",
    "behind a NUL": f"X: y\x00\nAuthentication-Results\x00: {PASS}",
    "in the subject": f"Subject: Authentication-Results: {PASS}",
    "with a control character": f"Authentication-Results: {PASS} \x01",
    "far too long": f"Authentication-Results: {PASS}; {'x' * FIELD_OCTETS}",
    "far too low": "X: y\r\n" * (HEADER_OCTETS // 6) + f"Authentication-Results: {PASS}",
}


@pytest.mark.parametrize("what", NOT_THE_PROVIDERS)
def test_it_is_not_the_provider_that_speaks(what: str) -> None:
    raw = f"{NOT_THE_PROVIDERS[what]}\r\nFrom: clerk@court.example\r\n\r\n".encode()
    assert authentication.of(raw, HOME) is None


def test_nobody_speaks_for_a_provider_whose_name_is_not_known() -> None:
    raw = f"Authentication-Results: {PASS}\r\nFrom: clerk@court.example\r\n\r\n".encode()
    assert authentication.of(raw, ()) is None
    assert authentication.of(raw, ("mx2.home.example", "MX.HOME.EXAMPLE")) is not None


def test_only_the_topmost_field_of_the_provider_counts() -> None:
    failed = "mx.home.example; dmarc=fail header.from=court.example"
    assert domains(failed, PASS) == ()
    assert domains("mx.home.example; none", PASS) == ()
    assert domains(PASS, failed) == ("court.example",)
    assert domains("mx.other.example; dmarc=fail", PASS) == ("court.example",)


FROM = {
    "two domains": "clerk@court.example, ex@abuser.example",
    "a second field": "clerk@court.example\r\nFrom: ex@abuser.example",
    "no address": "The Court",
    "nothing": "",
    "two angle addresses": "<clerk@court.example> <ex@abuser.example>",
    "one that a lenient reader finds before it": "ex@abuser.example <clerk@court.example>",
    "a quote that never closes": '"x <clerk@court.example>, ex@abuser.example',
    "an encoded address": "=?utf-8?q?=3Cex=40abuser.example=3E?= <clerk@court.example>",
    "an address cut off by a NUL": "ex@abuser.example\x00@court.example",
}


@pytest.mark.parametrize("why", FROM)
def test_a_from_that_may_be_read_otherwise_proves_nothing(why: str) -> None:
    assert domains(PASS, sender=FROM[why]) == ()
    assert domains("mx.home.example; dkim=pass header.d=court.example", sender=FROM[why]) == ()


def test_a_message_without_from_proves_nothing() -> None:
    found = authentication.of(f"Authentication-Results: {PASS}\r\nSender: a@court.example\r\n\r\n".encode(), HOME)
    assert found is not None and found.domains == ()


def test_two_people_of_one_domain_are_proven_together() -> None:
    assert domains(PASS, sender='"ex@abuser.example" <a@court.example>, b@COURT.example') == ("court.example",)


def test_a_domain_is_compared_in_its_one_form() -> None:
    field = "mx.home.example; dmarc=pass header.from=xn--strae-oqa.example"
    assert domains(field, sender="x@STRAẞE.example") == ("xn--strae-oqa.example",)


@pytest.mark.parametrize(
    ("signer", "sender", "counts"),
    [
        ("court.example", "x@family.court.example", True),
        ("example", "x@court.example", False),
        ("gov.uk", "x@abuser.gov.uk", False),
        ("co.uk", "x@court.co.uk", False),
        ("police.uk", "x@met.police.uk", True),
        ("court.example", "x@notcourt.example", False),
    ],
)
def test_who_signs_above_answers_for_what_is_below_but_a_registry_for_nobody(
    signer: str, sender: str, counts: bool
) -> None:
    assert bool(domains(f"mx.home.example; dkim=pass header.d={signer}", sender=sender)) is counts


def test_the_field_is_kept_as_it_stands_unfolded() -> None:
    assert said("mx.home.example;\r\n\tspf=pass (x\r\n y);\r\n dkim=none").results == (
        "mx.home.example; spf=pass (x y); dkim=none"
    )


def test_line_ends_without_cr_are_read_too() -> None:
    raw = f"Authentication-Results: {PASS}\nFrom: clerk@court.example\n\nHi".encode()
    assert authentication.of(raw, HOME) == Authentication(("court.example",), PASS)


def verdict(field: str | None) -> Verdict:
    return Verdict(Disposition.SEAL, "listed-address", "ex@abuser.example", field)


def test_only_what_is_in_from_can_be_proven_to_be_its_authors_own() -> None:
    authors = (Author("From", "Ex@Abuser.example"), Author("Reply-To", "ex@abuser.example"))
    seen = Envelope(REF, Channel.MAIL, authors, THEN)
    proven = replace(seen, authentication=Authentication(("abuser.example",), PASS))
    forged = replace(seen, authentication=Authentication((), PASS))
    assert [authentication.proven(each, verdict("From")) for each in (seen, proven, forged)] == [None, True, False]
    for field in ("Reply-To", "Sender", "From name", "calendar", "X-Original-From", None):
        assert [authentication.proven(each, verdict(field)) for each in (seen, proven)] == [None, False]
    notice = replace(proven, notice=Notice("google-drive", must_pass=False))
    assert [authentication.proven(notice, verdict(field)) for field in ("From", "Subject", "text")] == [
        True,
        None,
        None,
    ]


PIECES = st.sampled_from(
    [b"Authentication-Results: mx.home.example", b"From: x@court.example", b";", b"=", b"dmarc=pass", b"dkim=pass",
     b" header.from=", b" header.d=", b"court.example", b"@", b"(", b")", b'"', b"\\", b"\r\n", b"\n", b"\r", b" "]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=400), st.lists(PIECES, max_size=60).map(b"".join)))
def test_any_octets_give_a_value(octets: bytes) -> None:
    found = authentication.of(octets, HOME)
    if found is not None and found.domains:
        assert len(found.domains) == 1 and "pass" in found.results.lower()
        hosts = {address.domain(each.address.rpartition("@")[2]) for each in headers.authors(octets)}
        assert hosts >= set(found.domains)


HOSTILE = {
    "quotes": b'"' * 15_000,
    "comments": b"(" * 15_000,
    "half comments": b"(\\" * 7_500,
    "results": b"a=b;" * 4_000,
    "equals": b"=" * 15_000,
    "words": b"a " * 7_500,
    "fields": b"x\r\nAuthentication-Results: " * 9_000,
    "folds": b"\r\n " * 80_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_fields_take_no_time(what: str) -> None:
    raw = b"Authentication-Results: mx.home.example; " + HOSTILE[what] + b"\r\nFrom: a@b.example\r\n\r\n"
    began = time.process_time()
    results(raw, HOME)
    assert time.process_time() - began < 0.5
