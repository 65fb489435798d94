"""Nobody else is touched: ordinary mail of every kind, and entries that name none of its senders."""

import base64
import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator

import pytest

from nocontactd.address import comparable
from nocontactd.decide import Policy
from nocontactd.headers import authors
from nocontactd.model import Disposition, Kind, Rule, Verdict
from nocontactd.number import keys
from tests.recognition import blocked, verdict

GIVEN = [
    "Adam", "Agnes", "Ahmed", "Aisha", "Alan", "Alice", "Amir", "Ana", "Anders", "Andrea", "Andreas", "Anna", "Anne",
    "Antonio", "Ben", "Birgit", "Carla", "Carlos", "Chiara", "Chloe", "Chris", "Clara", "Claire", "Daniel", "Daniela",
    "David", "Diego", "Elena", "Elif", "Emil", "Emma", "Erik", "Erika", "Eva", "Fatima", "Felix", "Fiona", "François",
    "Gabriel", "Georg", "Hana", "Hanna", "Hannah", "Hans", "Helen", "Ellen", "Henrik", "Ines", "Ivan", "Jan", "Jane",
    "Janet", "Joan", "Joanna", "Johan", "John", "Jon", "Jonas", "Jose", "Juan", "Julia", "Julian", "Karin", "Karl",
    "Katarina", "Kim", "Lars", "Laura", "Lena", "Leo", "Lina", "Lucas", "Lucia", "Lukas", "Magda", "Marc", "Marek",
    "Maria", "Mario", "Marta", "Martin", "Marvin", "Mehmet", "Mia", "Michael", "Michel", "Mika", "Milan", "Mohamed",
    "Nadia", "Nina", "Noor", "Olga", "Olivia", "Omar", "Oskar", "Pablo", "Paul", "Paula", "Pedro", "Peter", "Petra",
    "Pierre", "Priya", "Rachel", "Ravi", "Robert", "Roberta", "Rosa", "Ruth", "Samir", "Sara", "Sarah", "Simon",
    "Simone", "Sofia", "Sven", "Tanja", "Theo", "Thomas", "Tim", "Tom", "Ulrike", "Vera", "Victor", "Wei", "Xin",
    "Yuki", "Yusuf", "Zoë",
]  # fmt: skip
FAMILY = [
    "Ahmed", "Andersen", "Anderson", "Andersson", "Becker", "Berg", "Braun", "Brown", "Carvalho", "Chen", "Costa",
    "Dubois", "Fernandes", "Fernandez", "Fischer", "Garcia", "Gomez", "Hansen", "Hanson", "Hoffman", "Hoffmann",
    "Horvath", "Ivanov", "Jansen", "Janssen", "Johansen", "Johansson", "Jones", "Kaya", "Khan", "Kim", "Klein",
    "Kowalski", "Larsen", "Larsson", "Lee", "Li", "Lindgren", "Lopez", "Martin", "Martinez", "Meier", "Meyer",
    "Moreau", "Müller", "Nagy", "Nielsen", "Nilsen", "Novak", "Nowak", "Olsen", "Olson", "Patel", "Pereira",
    "Petersen", "Peterson", "Popov", "Ricci", "Rodrigues", "Rodriguez", "Rossi", "Russo", "Santos", "Schmid",
    "Schmidt", "Schmitt", "Silva", "Singh", "Smith", "Smyth", "Tanaka", "Thompson", "Thomson", "Wagner", "Walker",
    "Wang", "Weber", "Wong", "Yilmaz", "Zhang",
]  # fmt: skip
PROVIDERS = ["gmail.com", "outlook.com", "yahoo.com", "icloud.com", "gmx.de", "web.de", "orange.fr", "proton.me"]
FIRMS = [
    "shop.example", "bank.example", "school.example", "council.example", "clinic.example", "bücher.example",
    "xn--mller-kva.example", "例え.example", "travel.example", "news.example", "insurance.example", "строй.example",
]  # fmt: skip
ROLES = ["info", "news", "noreply", "no-reply", "service", "billing", "orders", "support", "hello", "events", "team"]
SUBJECTS = ["Invoice", "Re: lunch?", "Rechnung", "Votre commande", "Tu pedido", "確認", "Счёт", "Fwd: photos", "Reset"]


def ascii_form(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name).lower()
    return "".join(each for each in parts if each.isascii() and each.isalpha())


def mailbox(given: str, family: str, pick: random.Random) -> str:
    first, last = ascii_form(given), ascii_form(family)
    plain = [f"{first}.{last}", f"{first}{last}", f"{first[0]}.{last}", f"{first[0]}{last}", f"{last}.{first}", first]
    return pick.choice(
        [*plain, f"{first}_{last}", f"{first}{pick.randrange(1950, 2010)}", f"{first}+list{pick.randrange(9)}"]
    )


def written(name: str, address: str, pick: random.Random) -> str:
    word = f"=?utf-8?b?{base64.b64encode(name.encode()).decode()}?= <{address}>"
    if not name.isascii():
        return word
    given, _, family = name.partition(" ")
    forms = [f"{name} <{address}>", f'"{name}" <{address}>', f'"{family}, {given}" <{address}>', f"{address} ({name})"]
    return pick.choice([*forms, address, f"<{address}>", word, f"{name}\r\n <{address}>"])


def person(pick: random.Random, hosts: Iterable[str] = (*PROVIDERS, *FIRMS)) -> tuple[str, str]:
    given, family = pick.choice(GIVEN), pick.choice(FAMILY)
    return f"{given} {family}", f"{mailbox(given, family, pick)}@{pick.choice(tuple(hosts))}"


def letter(pick: random.Random) -> list[str]:
    name, address = person(pick)
    return [f"Return-Path: <{address}>", f"From: {written(name, address, pick)}"]


def firm(pick: random.Random) -> list[str]:
    host, role = pick.choice(FIRMS), pick.choice(ROLES)
    title = host.partition(".")[0].title()
    start = f"Return-Path: <bounces+{pick.randrange(10**6)}-me=home.example@mail.{host}>"
    return [start, f"From: {written(title + ' Team', f'{role}@{host}', pick)}", f"Reply-To: care@{host}"]


def mailing_list(pick: random.Random) -> list[str]:
    name, address = person(pick)
    local, _, host = address.partition("@")
    the_list = "choir@lists.example"
    if pick.random() < 0.3:
        return [f"From: {written(name, address, pick)}", "Sender: choir-bounces@lists.example", "List-Id: <choir>"]
    return [
        f'From: "{ascii_form(name)} via Choir" <{pick.choice([the_list, f"{local}={host}@groups.io"])}>',
        f"{pick.choice(['X-Original-From', 'Reply-To', 'X-Original-Sender', 'X-MailFrom'])}: {address}",
        "List-Id: <choir.lists.example>",
    ]


def notice(pick: random.Random) -> list[str]:
    name, address = person(pick)
    shown = f'"{ascii_form(name)} (via Documents)" <drive-shares-noreply@docs.example>'
    return [f"From: {shown}", f"Reply-To: {address}", "Auto-Submitted: auto-generated"]


def invitation(pick: random.Random) -> list[str]:
    _, address = person(pick, PROVIDERS)
    calendar = f"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nORGANIZER:mailto:{address}\r\nEND:VCALENDAR"
    return ["From: calendar-notification@cal.example", "Content-Type: text/calendar", "", calendar]


def ham(pick: random.Random) -> bytes:
    make: Callable[[random.Random], list[str]] = pick.choice(
        [letter, letter, letter, firm, firm, mailing_list, notice, invitation]
    )
    top = ["Received: from a.example by home.example; Sun, 22 Nov 2026 05:00:01 +0000", "To: me@home.example"]
    lines = [*top, f"Subject: {pick.choice(SUBJECTS)}", *make(pick)]
    return "\r\n".join((*lines, "", "Hello.", "")).encode()


def senders(messages: Iterable[bytes]) -> tuple[set[str], set[str]]:
    """Every address and every host that stands in a message."""
    seen = {author.address.lower() for raw in messages for author in authors(raw)}
    written = "".join(raw.decode() for raw in messages)
    hosts = {each.rpartition("@")[2] for each in seen}
    return seen | {each.strip("<>:;,") for each in written.lower().split()}, hosts


def strangers(pick: random.Random, how_many: int, taken: set[str]) -> Iterator[Rule]:
    """Addresses, domains, numbers and names as people list them, none of which occurs."""
    for number in range(how_many):
        name, address = person(pick)
        first, _, last = name.partition(" ")
        rules = (
            Rule(Kind.ADDRESS, f"{ascii_form(last)}{ascii_form(first)}{number + 3000}@{pick.choice(PROVIDERS)}"),
            Rule(Kind.ADDRESS, address.replace("@", "@private.")),
            Rule(Kind.DOMAIN, f"@{ascii_form(last)}-{ascii_form(first)}{number}.example"),
            Rule(Kind.NUMBER, f"+4477009{number:05}"),
            Rule(Kind.NAME, f"{first} Q. {last} {ascii_form(first).title()}"),
        )
        yield next(rule for rule in (rules[number % 5], rules[0]) if rule.entry.lower() not in taken)


def touched(messages: Iterable[bytes], rules: Policy) -> list[tuple[bytes, Verdict]]:
    found = ((raw, verdict(raw, rules)) for raw in messages)
    return [(raw, each) for raw, each in found if each.disposition is not Disposition.PASS]


def test_of_5000_ordinary_messages_none_is_touched_by_500_entries_of_others() -> None:
    pick = random.Random(3)
    messages = [ham(pick) for _ in range(5000)]
    taken, _ = senders(messages)
    rules = [*strangers(pick, 500, taken)]
    assert {rule.kind for rule in rules} == {Kind.ADDRESS, Kind.DOMAIN, Kind.NUMBER, Kind.NAME}
    assert touched(messages, blocked(*rules, region="GB")) == []


def test_of_the_same_messages_each_is_sealed_when_its_own_author_is_listed() -> None:
    """The other half of the promise, lest the first be kept by recognising nobody."""
    pick = random.Random(3)
    for raw in (ham(pick) for _ in range(300)):
        found = authors(raw)
        assert verdict(raw, blocked(found[-1].address)).disposition is Disposition.SEAL


def same_name(address: str) -> str:
    """The address without what separates the words of a name: a.smith and asmith are one name."""
    local, _, host = comparable(address).partition("@")
    return f"{local.translate(str.maketrans('', '', '._-'))}@{host}"


@pytest.mark.parametrize("seed", range(4))
def test_people_with_plain_other_names_at_the_same_provider_are_never_taken_for_listed_ones(seed: int) -> None:
    """docs/adr/0004-lookalikes.md: 500 common names are listed; whoever else has such a name is never held."""
    pick = random.Random(seed)
    listed = {person(pick, PROVIDERS)[1] for _ in range(500)}
    names = set(map(same_name, listed))
    others = {address for _ in range(5000) if same_name(address := person(pick, PROVIDERS)[1]) not in names}
    assert len(others) > 3000
    messages = [f"From: {address}\r\n\r\n".encode() for address in sorted(others)]
    assert touched(messages, blocked(*sorted(listed))) == []


def test_the_numbers_of_other_people_share_no_key() -> None:
    pick = random.Random(9)
    numbers = {f"+4477009{pick.randrange(10**5):05}" for _ in range(3000)}
    assert len({keys(number, "GB") for number in numbers}) == len(numbers)
