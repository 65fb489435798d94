"""What the owner answers, made into a `Config`: each login is tried before the next question; nothing is written."""

from argparse import Namespace
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nocontactd.assemble import number_at_twilio
from nocontactd.cli import situation
from nocontactd.cli.setup.mailboxes import mailboxes
from nocontactd.cli.setup.place import Place
from nocontactd.cli.setup.questions import Check, Questions
from nocontactd.cli.setup.trial import but, lets_in, secret_of
from nocontactd.cli.setup.unit import HIDDEN
from nocontactd.config import Config, Person, PhoneSource, Secret
from nocontactd.config.durations import seconds
from nocontactd.config.entries import mail_problem, mail_rule, name_problem, number_problem
from nocontactd.config.schema import (
    EVERY,
    LOOSENING_DELAY,
    MAX_PER_PASS,
    sid_problem,
)
from nocontactd.model import Disposition, Kind, Rule


@dataclass(frozen=True, slots=True)
class Answers:
    """A configuration, and the secrets that it needs, each by the name of its source."""

    config: Config
    secrets: dict[str, str]


def gather(args: Namespace, place: Place, ask: Questions) -> Answers:
    """Ask for everything. UsageError; CredentialError, SourceError: unattended, a login was refused or not reached."""
    mail, secrets = mailboxes(args, ask)
    people = _people(args, ask)
    phone, token = _number(args, ask)
    if phone and token:
        secrets[phone.name] = token
    hidden = partial(_hidden, place)
    archive = ask.line("--archive", args.archive, "Where is the archive to lie?", str(place.archive), hidden)
    delay = ask.line(
        "--delay",
        args.delay,
        "How long must wait whatever lets more through? Choose it on a good day",
        "7 days",
        _delay,
    )
    said = Config(
        people=people,
        mail=mail,
        phone=(phone,) if phone else (),
        archive=Path(archive).expanduser().absolute(),
        state=place.state,
        loosening_delay=seconds(delay) or LOOSENING_DELAY,
        uncertain=Disposition.PASS,
        region=args.region,
        max_per_pass=MAX_PER_PASS,
    )
    return Answers(said, secrets)


def _people(args: Namespace, ask: Questions) -> tuple[Person, ...]:
    people: list[Person] = []
    entry_problem = partial(_entry_problem, args.region)
    while not people or ask.yes("Another person?"):
        label = ask.line("--person", args.person, "Whom to block? A label of your own; it is never logged", "A.")
        entries = ask.lines(
            "--block",
            args.block,
            "Their addresses, @domains, telephone numbers (with + and the country) and names, one a line;\n"
            "an empty line ends them.",
            entry_problem,
        )
        people.append(Person(label, tuple(map(_rule, entries))))
        args = but(args, "person", "block")
    return tuple(people)


def _number(args: Namespace, ask: Questions) -> tuple[PhoneSource | None, str | None]:
    """A number at Twilio that lets us in, if there is one."""
    if not args.twilio_account and not ask.yes("Have you a telephone number at Twilio?"):
        return None, None
    while True:
        section = PhoneSource(
            name="number",
            account=ask.line("--twilio-account", args.twilio_account, "The account's SID", check=sid_problem("AC")),
            number=ask.line("--twilio-number", args.twilio_number, "The number", check=_whole(args.region)),
            every=EVERY,
            relay_to=_relay(args, ask),
            api_key=None,
            region=None,
            api_base=args.api_base,
            secret=Secret(),
        )
        token = secret_of(section.name, "--twilio-token-file", args.twilio_token_file, "The account's auth token", ask)
        asked = replace(section, region=args.region)
        if lets_in(number_at_twilio(asked, situation.now(), lambda given=token: given, situation.now), ask):  # type: ignore[misc]
            return section, token
        args = but(args, "twilio_account", "twilio_number", "twilio_token_file")


def _relay(args: Namespace, ask: Questions) -> str | None:
    if args.relay_to or ask.yes("Shall everybody else's texts be passed on to your own telephone?"):
        return ask.line("--relay-to", args.relay_to, "Your own number", check=_whole(args.region))
    return None


def _rule(entry: str) -> Rule:
    if "@" in entry:
        return mail_rule(entry)
    return Rule(Kind.NAME if any(map(str.isalpha, entry)) else Kind.NUMBER, entry)


def _entry_problem(region: str | None, entry: str) -> str:
    kind = _rule(entry).kind
    if kind is Kind.NUMBER:
        return number_problem(entry, region)
    return name_problem(entry) if kind is Kind.NAME else mail_problem(entry)


def _whole(region: str | None) -> Check:
    return lambda text: number_problem(text, region, whole=True)


def _hidden(place: Place, archive: str) -> str:
    seen = place.user is None or not str(Path(archive).expanduser().absolute()).startswith(HIDDEN)
    return "" if seen else "the service sees nothing there (ProtectHome); try /var/lib/nocontactd/archive, or /srv"


def _delay(text: str) -> str:
    return "" if seconds(text) else "a number and a unit: 7 days, 12 h"
