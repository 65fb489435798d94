"""Notices that services send on somebody's behalf: whose they are, what must pass, and what only pretends to be one."""

import json
import time
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd import shipped
from nocontactd.decide import Policy, Reason
from nocontactd.model import Author, Channel, Disposition, Kind, Rule, Verdict
from nocontactd.reading import Reader, Want
from nocontactd.services import Service, compiled, taken
from tests.recognition import blocked, of

EX, NAME, PHONE = "ex@abuser.example", "Alex Example", "+1 212 555 0123"
ID = "mx.home.example"
CATALOGUE = shipped.services()
OFFLINE = Reader(catalogue=CATALOGUE, offline=True)
DAEMON = Reader((ID,), CATALOGUE)
SERVICES = {service.name: service for service in {id(each): each for each in CATALOGUE.senders.values()}.values()} | {
    service.name: service for service in CATALOGUE.texts
}
SEAL, HOLD, PASS = Disposition.SEAL, Disposition.HOLD, Disposition.PASS

CORPUS = Path(__file__).parent / "corpus" / "notices.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
"""`sender`: From; `header`: what else stands there; `field`: where the entry was found."""

HANDLE = "handle "
TEXTS = (
    ("6245", "ex@abuser.example hello", SEAL),
    ("72345", "ex@abuser.example / hello / are you there", SEAL),
    ("+14101000001", "FRM:ex@abuser.example\nSUBJ:hello\nMSG:are you there", SEAL),
    ("72345", "FRM: Ex@Abuser.Example SUBJ:hello", SEAL),
    ("72345", "ex@abuser.example\nare you there", SEAL),
    ("72345", "hello ex@abuser.example", PASS),
    ("72345", "ex@abuser.example has asked for a place", PASS),
    ("72345", "FRM:friend@ok.example\nMSG:ex@abuser.example asks", PASS),
    ("6245", "friend@ok.example ex@abuser.example asks", PASS),
    ("+12025550143", "FRM:ex@abuser.example\nMSG:are you there", PASS),
    ("+12025550143", "ex@abuser.example / hello", PASS),
)


def letter(sender: str, also: str = "", text: str = "", proof: str = "") -> bytes:
    lines = (f"From: {sender}", "To: me@home.example", *also.splitlines(), *([proof] if proof else ()))
    header = "\r\n".join((*lines, "Content-Type: text/plain; charset=utf-8"))
    return f"{header}\r\n\r\nHello,\r\n\r\n{text}\r\n".encode()


def listed(entry: str) -> Policy:
    if entry.startswith(HANDLE):
        return blocked(Rule(Kind.HANDLE, entry.removeprefix(HANDLE)))
    return blocked(Rule(Kind.NUMBER, entry) if entry.startswith("+") else entry)


def found(raw: bytes, entry: str = EX, reader: Reader = OFFLINE) -> Verdict:
    return of(reader.of_message(raw), listed(entry))


def passed(host: str) -> str:
    return f"Authentication-Results: {ID}; dmarc=pass header.from={host}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['service']}-{case['expected']}")
def test_a_notice_is_theirs_for_whom_the_service_acts_and_nobody_elses(case: dict[str, Any]) -> None:
    raw = letter(case["sender"], case["header"], case["text"])
    verdict = found(raw, case["listed"])
    assert (verdict.disposition, verdict.field) == (case["expected"], case["field"])
    known = CATALOGUE.sender(OFFLINE.of_message(raw).authors)
    assert known is not None
    assert known[0].name == case["service"]


@pytest.mark.parametrize(("sender", "body", "disposition"), TEXTS)
def test_mail_that_a_gateway_sends_as_a_text_is_theirs_who_wrote_the_mail(
    sender: str, body: str, disposition: Disposition
) -> None:
    assert of(OFFLINE.of_text(sender, body), listed(EX), Channel.SMS).disposition is disposition


def test_every_service_of_the_data_has_a_source_a_date_and_two_examples() -> None:
    said = tomllib.loads((files("nocontactd") / "data" / "services.toml").read_text("utf-8"))["service"]
    assert len(said) > 40
    for service in said:
        assert service["source"].strip()
        assert service["date"].isoformat() <= CATALOGUE.version
    examples = Counter(case["service"] for case in CASES)
    passing = {case["service"] for case in CASES if case["expected"] == PASS}
    by_mail = {service["name"] for service in said if "from" in service}
    assert {name for name in by_mail if examples[name] > 1} & passing == by_mail
    assert {service["name"] for service in said} == SERVICES.keys()


def test_what_names_people_names_the_listed_one_in_an_example() -> None:
    speaking = {service.name for service in SERVICES.values() if service.people and not service.texts}
    assert speaking == {case["service"] for case in CASES if case["expected"] != PASS}


@pytest.mark.parametrize(
    "subject",
    ["Reset your password", "Reset your Dropbox password", "Sicherheitswarnung", "Réinitialisez votre mot de passe",
     "Restablece tu contraseña", "123456 is your Dropbox code", "Your Dropbox receipt",
     "Ihr Dropbox-Code lautet 123 456"],
)  # fmt: skip
def test_mail_about_the_owners_account_passes_whoever_stands_in_it(subject: str) -> None:
    raw = letter("Alex Example <no-reply@dropbox.com>", f"Subject: {subject}\nReply-To: ex@abuser.example")
    for entry in (EX, NAME):
        assert found(raw, entry) == Verdict(PASS, Reason.SERVICE_MESSAGE)


@pytest.mark.parametrize(
    ("sender", "also"),
    [
        # from nobody's service
        ("Dropbox <no-reply@dropbox.example>", "Subject: Reset your password\nReply-To: ex@abuser.example"),
        ("Dropbox <no-reply@notdropbox.com>", "Subject: Reset your password\nReply-To: ex@abuser.example"),
        # theirs all the same
        ("ex@abuser.example", "Subject: Reset your password"),
        ("no-reply@dropbox.com, ex@abuser.example", "Subject: Reset your password"),
        ("no-reply@dropbox.com", "Sender: ex@abuser.example\nSubject: Reset your password"),
        ("PayPal <service@paypal.com>", "Sender: ex@abuser.example"),
        # what somebody calls a file, or themselves
        ("no-reply@dropbox.com", 'Subject: Reset your password shared "x" with you\nReply-To: ex@abuser.example'),
        ("no-reply@dropbox.com", "Subject: Reset your password now\nReply-To: ex@abuser.example"),
        ("no-reply@dropbox.com", "Subject: darling is your Dropbox code\nReply-To: ex@abuser.example"),
        ("no-reply@dropbox.com", "Subject: Re: Reset your password\nReply-To: ex@abuser.example"),
        ("Alex via Dropbox <no-reply@dropbox.com>", "Subject: Reset your password\nReply-To: ex@abuser.example"),
        # where people choose the subject
        ("cards@paperlesspost.com", "Subject: Reset your password\nReply-To: ex@abuser.example"),
    ],
)  # fmt: skip
def test_what_must_pass_is_no_way_through(sender: str, also: str) -> None:
    assert found(letter(sender, also)).disposition is SEAL


def test_a_person_with_a_subjects_name_acts_all_the_same() -> None:
    """Where a form in which somebody acts fits the very subject that must pass."""
    people = (("Subject", "{who} password"), ("Reply-To", "{who}"))
    service = Service("cards", "Cards", "card", ("@cards.example",), people, ("Reset your password",))
    reader = Reader(catalogue=compiled("1", (service,)))
    raw = letter("hello@cards.example", "Subject: Reset your password\nReply-To: ex@abuser.example")
    assert found(raw, EX, reader).disposition is SEAL


def test_a_services_name_beside_the_sender_lets_no_listed_domain_through() -> None:
    raw = letter("desk@abuser.example", "Sender: service@paypal.com\nSubject: Reset your password")
    assert found(raw, "@abuser.example").reason == Reason.LISTED_DOMAIN
    nobody = b"Sender: service@paypal.com\r\nReply-To: ex@abuser.example\r\n\r\n"
    assert found(nobody).reason == Reason.LISTED_ADDRESS


NOTICE = 'Subject: Alex Example shared "x" with you'


def test_a_notice_whose_sender_the_owners_provider_did_not_authenticate_is_none() -> None:
    forged = f"Authentication-Results: {ID}; dmarc=fail header.from=dropbox.com"
    for proof, disposition in ((passed("dropbox.com"), HOLD), (forged, PASS), ("", HOLD)):
        assert found(letter("no-reply@dropbox.com", NOTICE, "", proof), NAME, DAEMON).disposition is disposition
    receipt = "Subject: Your Dropbox receipt\nReply-To: ex@abuser.example"
    for proof, disposition in ((passed("dropbox.com"), PASS), (forged, SEAL), ("", PASS)):
        assert found(letter("no-reply@dropbox.com", receipt, "", proof), EX, DAEMON).disposition is disposition


def test_another_domain_that_is_proven_vouches_for_no_service() -> None:
    raw = letter("a@ok.example", f"Sender: no-reply@dropbox.com\n{NOTICE}", "", passed("ok.example"))
    assert found(raw, NAME, DAEMON).disposition is PASS


def test_the_text_is_wanted_only_where_the_sender_is_proven() -> None:
    line = "Alex (ex@abuser.example) shared a file"
    proven = letter("no-reply@dropbox.com", "Subject: hello", line, passed("dropbox.com"))
    unproven = letter("no-reply@dropbox.com", "Subject: hello", line)
    assert DAEMON.of_header(proven).wants == {Want.TEXT}
    assert DAEMON.of_header(unproven).wants == frozenset()
    assert OFFLINE.of_header(unproven).wants == {Want.TEXT}
    verdicts = [found(proven, EX, DAEMON), found(unproven, EX, DAEMON), found(unproven)]
    assert [each.disposition for each in verdicts] == [SEAL, PASS, SEAL]
    private = letter("friend@ok.example", "Subject: hello", line, passed("ok.example"))
    assert DAEMON.of_header(private).wants == OFFLINE.of_header(private).wants == frozenset()


def test_what_must_pass_has_no_text_that_is_wanted() -> None:
    raw = letter("no-reply@dropbox.com", "Subject: Your Dropbox receipt", "", passed("dropbox.com"))
    assert DAEMON.of_header(raw).wants == frozenset()


def test_offline_it_says_what_could_not_be_known() -> None:
    unproven = letter("no-reply@dropbox.com", NOTICE)
    assert "dropbox" in OFFLINE.of_message(unproven).doubts[0]
    assert DAEMON.of_message(letter("no-reply@dropbox.com", NOTICE, "", passed("dropbox.com"))).doubts == ()
    assert OFFLINE.of_message(letter("friend@ok.example", NOTICE)).doubts == ()


def test_a_forwarded_notice_is_his_who_forwards_it() -> None:
    text = "From: no-reply@dropbox.com\r\nSubject: ex@abuser.example shared x\r\n\r\nAlex (ex@abuser.example) shared x"
    raw = letter("lawyer@firm.example", "Subject: Fwd: ex@abuser.example shared x with you", text)
    assert found(raw).disposition is PASS


def test_html_is_read_as_it_is_shown() -> None:
    html = "<style>p {x: 'Host: nobody'}</style><p>Host:&nbsp;<b>ex&#64;abuser.example</b></p><p>Guests: all"
    head = "From: info@evite.com\r\nSubject: You're invited\r\nContent-Type: text/html\r\n"
    assert found(f"{head}\r\n{html}".encode()).field == "text"
    encoded = f"{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n{html.replace('=', '=3D')}"
    assert found(encoded.replace("ex&#64;abuser", "ex=40abu=\r\nser").encode()).field == "text"


def test_the_fields_that_are_read_are_named_for_whoever_does_not_read_all() -> None:
    assert {"Subject", "Content-Type", "Auto-Submitted", "X-Facebook-Notify", "Reply-To"} <= set(OFFLINE.fields)
    assert "Authentication-Results" in DAEMON.fields
    assert "Authentication-Results" not in Reader().fields


def test_a_form_takes_what_stands_in_its_holes_and_only_the_whole_of_a_text() -> None:
    assert taken('{who} shared "{any}" with you', 'A B shared "x" WITH you') == (("who", "A B"), ("any", "x"))
    assert taken("{who} sent", "he sent us") is None
    assert taken("{who} sent", " sent") is None
    assert taken("exactly", "Exactly") == ()
    assert taken("{code} is yours", "12345 is yours") == (("code", "12345"),)
    assert taken("{code} is yours", "all is yours") is None
    assert taken("a{any}a", "a") is None


def test_two_services_do_not_send_from_one_place() -> None:
    first, second = (Service(name, name, "card", ("@cards.example",), ()) for name in "ab")
    with pytest.raises(ValueError, match="of a and of b"):
        compiled("1", (first, second))


FORMS = sorted({form for each in SERVICES.values() for form in (*each.must_pass, *(form for _, form in each.people))})
HOSTILE = ("shared ", '"', "{who}", " with you", "(", " (@", "ex@a.example ", "1", "sent you ", "New ", "İ", " - ", "@")


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_form_takes_longer_than_its_text_is_long(piece: str) -> None:
    """Every form of the catalogue, on a hundred times the most that is ever read of a field or line, and on a tenth."""

    def seconds(length: int) -> float:
        much = piece * (length // len(piece))
        began = time.process_time()
        for form in FORMS:
            taken(form, much)
        return time.process_time() - began

    # Ten times the text: ten times as long, where a square would be a hundred; and a little for the clock.
    assert min(seconds(100_000) for _ in range(2)) < 40 * min(seconds(10_000) for _ in range(3)) + 0.1


@pytest.mark.parametrize("name", ["dropbox", "x", "google-calendar", "calendly", "google-voice-texts", "efax"])
def test_a_hostile_notice_is_read_in_time(name: str) -> None:
    lines = "".join(f"{piece * (2_000 // len(piece))}\n" for piece in HOSTILE * 100)
    sender = SERVICES[name].senders[0]
    began = time.process_time()
    for piece in HOSTILE:
        OFFLINE.of_header(letter(f"{piece * 1000}{sender}", f"Subject: {piece * 10_000}"))
    OFFLINE.of_message(letter(f"someone{sender}" if sender.startswith("@") else sender, "", lines))
    OFFLINE.of_text("6245", lines)
    assert time.process_time() - began < 4


@given(st.sampled_from(FORMS), st.text(max_size=60))
def test_whatever_fills_a_form_is_found_or_the_text_is_not_of_it(form: str, text: str) -> None:
    for each in (text, form, form.replace("{who}", text), form.replace("{any}", text)):
        for hole, value in taken(form, each) or ():
            assert hole in form
            assert value in each


@given(st.sampled_from(sorted(SERVICES)), st.text(max_size=80), st.binary(max_size=80))
def test_any_notice_is_read_and_never_raises(name: str, subject: str, text: bytes) -> None:
    service = SERVICES[name]
    header = f"From: a{service.senders[0] if service.senders else '@x'}\r\nSubject: {subject}\r\n"
    raw = header.encode("utf-8", "replace") + b"Content-Type: text/html\r\n\r\n" + text
    for reader in (OFFLINE, DAEMON):
        assert all(isinstance(author, Author) for author in reader.of_message(raw).authors)
    OFFLINE.of_text("6245", text.decode("latin-1"))
