"""Evidence for a lawyer: the messages that were chosen, written out with what proves each, and nothing of any other."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nocontactd.archive.durable import digest
from nocontactd.archive.log import RECORD
from nocontactd.cli import UsageError, complain, opening, situation, unusable
from nocontactd.cli.opening import ALL, Opening, Range, say
from nocontactd.cli.progress import Bar
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.export.bundle import SUMS, Bundle, expect_room
from nocontactd.in_force import InForce
from nocontactd.model import Channel
from nocontactd.review.rows import Row, folded, timestamp

HELP = """\
Write evidence for a lawyer to a new folder DIR: each message that is chosen, octet for octet, with
what proves it; an incident log (CSV and PDF); the chain of custody; a draft certificate (FRE 902);
and check.py, which checks all of it with nothing but Python and openssl. Nothing of any other
message is in it, and no note of yours or of your therapist.

It opens for the owner and the therapist together, or for the owner and the backup witness. The
opening, and which messages were exported, are entered in the archive's log.

What is chosen: all messages, or those for which everything given here is true. DAY is a UTC day:
2026-11-22, 2026-11-01..2026-11-30, or all; --days goes by the day of sealing, --received by when it
came. PERSON is a label or an entry under `blocked:`. RECORDS are names as `nocontact review` shows
them (2026-11-22/000001), with commas between, or @FILE with one a line (@- is standard input), as
`nocontact review --marks FILE` writes it.

Exit code 65 when a record is damaged or missing; the others are written all the same. 1: nothing
was found, or something is in the bundle without its proof.
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages are wanted; None and ALL: whichever."""

    records: frozenset[str] | None
    rules: frozenset[str] | None
    """Entries, without case."""
    channels: frozenset[Channel] | None
    received: Range

    def may_hold(self, day: str) -> bool:
        """Whether this day is to be looked through."""
        return self.records is None or any(record.startswith(day) for record in self.records)

    def takes(self, row: Row) -> bool:
        """Whether this one is."""
        return (
            not row.note
            and (self.records is None or row.record in self.records)
            and (self.rules is None or (row.rule or "").casefold() in self.rules)
            and (self.channels is None or row.channel in self.channels)
            and self.received[0] <= timestamp(row.received)[:10] <= self.received[1]
        )


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--to", type=Path, metavar="DIR", required=True, help="a folder that is new or empty")
    parser.add_argument("--records", type=_records, metavar="RECORDS", help="these records alone")
    parser.add_argument("--person", action="append", metavar="PERSON", help="may be given more than once")
    parser.add_argument("--channel", type=_channels, metavar="CHANNEL,…", help=", ".join(Channel))
    parser.add_argument("--received", type=opening.days, default=ALL, metavar="all|DAY|DAY..DAY", help="default: all")
    opening.describe(parser)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    expect_room(args.to)
    choice = Choice(args.records, _entries(rules, args.person), args.channel, args.received)
    done = opening.opened(args, "export")
    bundle = Bundle(done.opener, done.archive, args.to, situation.now(), done.by)
    rows, code = _chosen(done, choice)
    if not rows:
        raise _nothing(code)
    say(f"the evidence is being written to {args.to}, readable for whoever can read that folder")
    try:
        with Bar("exporting") as bar:
            problems = bundle.write(rows, bar)
    except OSError as problem:
        reason = unusable(problem).message.removesuffix("; nothing was done")
        raise NocontactError(f"{reason}; {args.to} is not finished: do not use it") from None
    code = max([code, *map(complain, problems)])
    entered = done.enter(
        ("for", "export"),
        ("sums", digest(args.to / SUMS)),
        ("records", " ".join(row.record for row in rows)),
    )
    say(f"{args.to}: the evidence is there; check it: python3 -I {args.to / 'check.py'}")
    return max(code, entered)


def _chosen(done: Opening, choice: Choice) -> tuple[list[Row], int]:
    """The messages that are wanted, each once, and an exit code: 65 where one that may be wanted cannot be read."""
    codes = [done.code]
    found: set[str] = set()

    def wanted(bar: Bar) -> Iterator[Row]:
        for item in done.listing.rows([day for day in done.days if choice.may_hold(day)], bar):
            if isinstance(item, DamagedError):
                codes.append(complain(item))
            elif choice.takes(item):
                found.add(item.record)
                yield item

    with opening.bar() as bar:
        rows = [row for row in folded(wanted(bar)) if isinstance(row, Row)]
    for record in sorted((choice.records or frozenset()) - found):
        codes.append(complain(NocontactError(f"{record}: no such message was found; it is not in the bundle")))
    return rows, max(codes)


def _nothing(code: int) -> NocontactError:
    message, hint = "no message was found that was asked for; nothing was written", "`nocontact review` lists them"
    return DamagedError(message, hint) if code == DamagedError.exit_code else NocontactError(message, hint)


def _entries(rules: InForce, people: list[str] | None) -> frozenset[str] | None:
    """The entries of the people that were named, by label or by entry."""
    if not people:
        return None
    named = {name.casefold() for name in people}
    of_labels = {
        rule.entry.casefold()
        for person in rules.config.people
        if person.label and person.label.casefold() in named
        for rule in person.entries
    }
    return frozenset(of_labels | named)


def _channels(text: str) -> frozenset[Channel]:
    try:
        return frozenset(Channel(name.strip().lower()) for name in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"channels are {', '.join(Channel)}") from None


def _records(text: str) -> frozenset[str]:
    words = re.split(r"[\s,]+", _read(text[1:]) if text.startswith("@") else text)
    names = frozenset(filter(None, words))
    wrong = [name for name in names if not RECORD.fullmatch(name)]
    if wrong or not names:
        raise ArgumentTypeError("the name of a record is 2026-11-22/000001; several with commas, or @FILE")
    return names


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except OSError as problem:
        raise UsageError(unusable(problem).message) from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not a list of records; nothing was opened") from None
