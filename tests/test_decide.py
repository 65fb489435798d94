"""What becomes of a message, and the reason, entry and field that are given for it."""

import random
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.decide import Policy, Reason, decide, guard, plan, policy, rule
from nocontactd.headers import authors
from nocontactd.model import Author, Channel, Disposition, Envelope, Kind, MessageRef, Rule, TooMany, Verdict
from nocontactd.reading import Reading
from tests.recognition import REF, THEN, blocked, of, text_verdict, verdict

ADDRESS, DOMAIN, NUMBER, NAME = Kind.ADDRESS, Kind.DOMAIN, Kind.NUMBER, Kind.NAME
EVERYTHING = blocked(
    Rule(ADDRESS, "Alex.Example@Abuser.Example"),
    Rule(ADDRESS, "ex@abuser.example"),
    Rule(DOMAIN, "@business.example"),
    Rule(NUMBER, "+44 7700 900123"),
    Rule(NUMBER, "EXPARTNER"),
    Rule(NAME, "Alex Example"),
)

MAIL = [
    ("From: ex+x@abuser.example", "seal", Reason.LISTED_ADDRESS, "ex@abuser.example", "From"),
    ("Reply-To: ALEX.EXAMPLE@abuser.example", "seal", Reason.LISTED_ADDRESS, "Alex.Example@Abuser.Example", "Reply-To"),
    ("Sender: x@mail.Business.example", "seal", Reason.LISTED_DOMAIN, "@business.example", "Sender"),
    ('From: "ex@abuser.example" <n@shop.example>', "hold", Reason.ADDRESS_IN_NAME, "ex@abuser.example", "From name"),
    ('From: "ex@abuser.example" n@shop.example', "hold", Reason.ADDRESS_IN_NAME, "ex@abuser.example", "From name"),
    ("From: Alex Example <n@ok.example>", "hold", Reason.LISTED_NAME, "Alex Example", "From name"),
    ("Reply-To: Alex Example <n@ok.example>", "hold", Reason.LISTED_NAME, "Alex Example", "Reply-To name"),
    ("From: аlex.example@abuser.example", "hold", Reason.LOOK_ALIKE, "Alex.Example@Abuser.Example", "From"),
    ("From: alex.exmaple@abuser.example", "hold", Reason.LOOK_ALIKE, "Alex.Example@Abuser.Example", "From"),
    ("From: ex@xn--buser-3ve.example", "hold", Reason.LOOK_ALIKE, "ex@abuser.example", "From"),
    ("From: n@notbusiness.example", "pass", Reason.NOT_LISTED, None, None),
    ("From: n@business.example.org", "pass", Reason.NOT_LISTED, None, None),
    ('From: "n@business.example"@ok.example', "pass", Reason.NOT_LISTED, None, None),
    ("To: ex@abuser.example", "pass", Reason.NOT_LISTED, None, None),
    ("From: ", "pass", Reason.NOT_LISTED, None, None),
    ("From: +44 7700 900123", "pass", Reason.NOT_LISTED, None, None),
]


@pytest.mark.parametrize(("field", "disposition", "reason", "rule", "where"), MAIL)
def test_a_message_is_decided_by_its_authors(
    field: str, disposition: Disposition, reason: Reason, rule: str | None, where: str | None
) -> None:
    assert verdict(f"{field}\r\n\r\nHi.".encode(), EVERYTHING) == Verdict(disposition, reason, rule, where)


def test_a_full_address_goes_before_a_domain_and_either_before_a_hold() -> None:
    both = b"From: Alex Example <a@business.example>\r\nSender: ex@abuser.example\r\n\r\n"
    assert verdict(both, EVERYTHING).reason == Reason.LISTED_ADDRESS
    assert verdict(both.replace(b"Sender", b"To"), EVERYTHING).reason == Reason.LISTED_DOMAIN


def test_a_listed_name_at_a_listed_address_seals() -> None:
    assert verdict(b"From: Alex Example <ex@abuser.example>\r\n\r\n", EVERYTHING).disposition is Disposition.SEAL


TEXTS = [
    ("whatsapp:+447700900123", "seal", Reason.LISTED_NUMBER, "+44 7700 900123"),
    ("ExPartner", "seal", Reason.LISTED_NUMBER, "EXPARTNER"),
    ("Ex@Abuser.example", "seal", Reason.LISTED_ADDRESS, "ex@abuser.example"),
    ("a@business.example", "seal", Reason.LISTED_DOMAIN, "@business.example"),
    ("Alex Example", "hold", Reason.LISTED_NAME, "Alex Example"),
    ("+447700900124", "pass", Reason.NOT_LISTED, None),
    ("sip:nadia@business.example", "pass", Reason.NOT_LISTED, None),
    (None, "pass", Reason.NOT_LISTED, None),
    ("", "pass", Reason.NOT_LISTED, None),
    (447700900124, "pass", Reason.NOT_LISTED, None),
]


@pytest.mark.parametrize(("sender", "disposition", "reason", "rule"), TEXTS)
def test_a_text_is_decided_by_its_sender(
    sender: object, disposition: Disposition, reason: Reason, rule: str | None
) -> None:
    field = None if rule is None else "from"
    assert text_verdict(sender, EVERYTHING) == Verdict(disposition, reason, rule, field)


def test_a_call_is_decided_by_its_number() -> None:
    assert of(Reading((Author("from", "+447700900123"),)), EVERYTHING, Channel.CALL).disposition is Disposition.SEAL


NAMES = [
    '"Example, Alex" <n@ok.example>',
    "ALEX  EXAMPLE <n@ok.example>",
    "Аlех Ехample <n@ok.example>",
    "=?utf-8?q?Alex=C2=A0Ex=C2=ADample?= <n@ok.example>",
    "Álex Example <n@ok.example>",
    "'Alex Example' via Choir <choir@lists.example>",
    '"Alex Example (via Choir)" <choir@lists.example>',
    "n@ok.example (Alex Example)",
    "Alex Example",
    "Alex Example <>",
]


@pytest.mark.parametrize("value", NAMES)
def test_a_listed_name_is_known_however_it_is_written(value: str) -> None:
    found = verdict(f"From: {value}\r\n\r\n".encode(), EVERYTHING)
    assert (found.disposition, found.reason) == (Disposition.HOLD, Reason.LISTED_NAME)


@pytest.mark.parametrize("name", ["Alex", "Alexa Example", "Alex Example Foundation", "Alex B. Example", "Alexexample"])
def test_another_name_is_another_person(name: str) -> None:
    assert verdict(f"From: {name} <n@ok.example>\r\n\r\n".encode(), EVERYTHING).disposition is Disposition.PASS


def test_an_entry_is_mail_number_or_name_by_its_form() -> None:
    assert [rule(each).kind for each in ("a@b", " @b", "a b")] == [ADDRESS, DOMAIN, NAME]
    assert [rule(each, sms=True).kind for each in ("a@b", "+44", "AB")] == [ADDRESS, NUMBER, NUMBER]
    assert rule("sip:+44@x", sms=True).kind is NUMBER


@pytest.mark.parametrize("entry", ["Ex <ex@abuser.example>", " EX@abuser.example. ", "mailto:ex@abuser.example"])
def test_an_entry_may_be_written_as_it_was_copied(entry: str) -> None:
    found = verdict(b"From: ex@abuser.example\r\n\r\n", blocked(entry))
    assert (found.disposition, found.rule) == (Disposition.SEAL, entry)


def test_other_rules_have_another_digest_and_the_same_in_another_order_have_not() -> None:
    a, b = Rule(ADDRESS, "a@x.example"), Rule(NAME, "a")
    same = {blocked(a, b).digest, blocked(b, a).digest, policy([a, b], None, Disposition.PASS, 5).digest}
    other = {
        blocked(a).digest,
        blocked(a, b, region="GB").digest,
        policy([a, b], None, Disposition.SEAL, 1000).digest,
        blocked(Rule(NUMBER, "a@x.example"), b).digest,
    }
    assert len(same) == 1 and len(other) == 4 and not same & other


def envelopes(*senders: str, arrival: bool = True, relay: bool = False) -> Iterator[Envelope]:
    for number, sender in enumerate(senders):
        ref = MessageRef("home", "INBOX", 1, f"{arrival}{number}")
        yield Envelope(ref, Channel.MAIL, (Author("From", sender),), THEN, arrival=arrival, relay=relay)


def test_a_plan_seals_what_is_listed_notes_what_is_held_and_relays_the_rest() -> None:
    senders = ("ex@abuser.example", "аlex.example@abuser.example", "n@ok.example")
    seen = tuple(envelopes(*senders, relay=True))
    steps = plan(seen, EVERYTHING, frozenset())
    assert [step.envelope for step in steps.seals] == [seen[0]]
    assert [step.envelope for step in steps.notes] == [seen[1]]
    assert steps.relays == seen[1:]


def test_what_is_uncertain_is_sealed_where_the_owner_chose_so() -> None:
    strict = policy([Rule(NAME, "Alex Example")], None, Disposition.SEAL, 10)
    held = Envelope(REF, Channel.MAIL, (Author("From", "n@ok.example", "Alex Example"),), THEN)
    steps = plan([held], strict, frozenset())
    assert [step.envelope for step in steps.seals] == [held] and not steps.notes


def test_what_a_receipt_holds_already_is_left_to_it() -> None:
    seen = tuple(envelopes("ex@abuser.example"))
    assert plan(seen, EVERYTHING, {seen[0].ref}).seals == ()


def test_the_guard_lets_through_as_many_as_the_owner_allowed() -> None:
    limited = policy([Rule(ADDRESS, "ex@abuser.example")], None, Disposition.PASS, 2)
    assert [guard(found, limited) for found in (0, 2)] == [None, None]
    assert guard(3, limited) == TooMany(3, 2)


FIRST = [
    "nadia", "omar", "maria", "mario", "jan", "jane", "chris", "anna", "ana", "erik", "erika", "john", "jon", "tom",
    "tim", "daniel", "daniela", "sara", "sarah", "alex",
]  # fmt: skip
LAST = [
    "rossi", "smith", "smyth", "jones", "garcia", "khan", "novak", "meyer", "meier", "olsen", "olson", "brown", "braun",
    "andersen", "anderson",
]  # fmt: skip
HOSTS = ["friends.example", "school.example", "firm.example", "shop.example", "council.example", "lists.example"]
SERVICES = ["info", "office", "newsletter", "noreply", "support", "billing", "orders", "hello", "events"]


def mailboxes_of(first: str, last: str, pick: random.Random) -> list[str]:
    return [f"{first}.{last}", f"{first[0]}{last}", f"{first}{pick.randrange(100)}", first]


def ham(pick: random.Random) -> bytes:
    first, last, host = pick.choice(FIRST), pick.choice(LAST), pick.choice(HOSTS)
    address = f"{pick.choice([*mailboxes_of(first, last, pick), pick.choice(SERVICES)])}@{host}"
    name = f"{first.title()} {last.title()}"
    reverse = f'"{last.title()}, {first.title()}" <{address}>'
    written = pick.choice([address, f"{name} <{address}>", reverse, f"{address} ({name})"])
    fields = [f"Return-Path: <{address}>", f"From: {written}", "To: me@home.example", f"Subject: Re: {last}"]
    if pick.random() < 0.2:
        fields += [f"Sender: choir-bounces@{host}", "List-Id: <choir.lists.example>", f"Reply-To: choir@{host}"]
    pick.shuffle(fields)
    return "\r\n".join((*fields, "", f"{name} wrote")).encode()


def strangers(pick: random.Random, how_many: int) -> Policy:
    """Entries that share words and hosts with the ham, but name none of its people."""
    entries = []
    for number in range(how_many):
        first, last, host = pick.choice(FIRST), pick.choice(LAST), pick.choice(HOSTS)
        entries += [
            Rule(ADDRESS, f"{first}.{last}.x{number}@{host}"),
            Rule(ADDRESS, f"{first}-{last}-ex{number}@{host}"),
            Rule(DOMAIN, f"@{last}{number}.{host}"),
            Rule(NAME, f"{first} Q{number} {last}"),
            Rule(NUMBER, f"+4477009{number:05}"),
        ]
    return blocked(*entries)


def test_nobody_else_is_touched_among_ordinary_messages() -> None:
    pick = random.Random(3)
    rules = strangers(pick, 100)
    found = [verdict(ham(pick), rules) for _ in range(3000)]
    assert [each for each in found if each.disposition is not Disposition.PASS] == []


def test_namesakes_and_colleagues_of_listed_people_are_not_touched() -> None:
    """Listed addresses and other people's are drawn from the same few names and hosts."""
    pick = random.Random(4)
    drawn = ((pick.choice(FIRST), pick.choice(LAST), pick.choice(HOSTS)) for _ in range(500))
    listed = {f"{pick.choice(mailboxes_of(first, last, pick))}@{host}" for first, last, host in drawn}
    rules = blocked(*sorted(listed))
    others = [raw for raw in (ham(pick) for _ in range(4000)) if not {a.address for a in authors(raw)} & listed]
    assert len(others) > 1000
    assert {verdict(raw, rules).disposition for raw in others} == {Disposition.PASS}


def test_a_message_costs_the_same_with_many_entries_as_with_few() -> None:
    raw = [ham(random.Random(each)) for each in range(300)]

    def cost(rules: Policy) -> float:
        began = time.process_time()
        for each in raw:
            verdict(each, rules)
        return time.process_time() - began

    few, many = strangers(random.Random(1), 4), strangers(random.Random(1), 2000)
    assert min(cost(many) for _ in range(5)) < 3 * min(cost(few) for _ in range(5))


AUTHORS = st.builds(Author, st.sampled_from(["From", "calendar", "from"]), st.text(max_size=40), st.text(max_size=30))


@given(st.lists(AUTHORS, max_size=5).map(tuple), st.sampled_from(Channel), st.lists(st.text(max_size=20), max_size=4))
def test_any_authors_and_any_entries_come_to_a_verdict(
    seen: tuple[Author, ...], channel: Channel, entries: list[str]
) -> None:
    rules = blocked(*(Rule(kind, entry) for entry in entries for kind in Kind), region="GB")
    found = decide(Envelope(REF, channel, seen, THEN), rules)
    assert found.reason in set(Reason)
    assert (found.rule is None) == (found.disposition is Disposition.PASS)


@given(st.binary(max_size=300))
def test_any_octets_come_to_a_verdict(octets: bytes) -> None:
    assert verdict(b"From: " + octets, EVERYTHING).reason in set(Reason)
