"""Says of a message what would become of it and why. Offline; stores nothing; reads no more of a file than it must."""

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from nocontactd.cli import UsageError, complain, situation, unusable
from nocontactd.decide import Policy, Reason, decide, policy, rule
from nocontactd.model import Author, Channel, Disposition, Envelope, MessageRef, Verdict
from nocontactd.number import keys
from nocontactd.reading import Reader, Reading
from nocontactd.review.visible import visible
from nocontactd.rules import author_key

MOST_MAIL = 32 * 1024 * 1024
MOST_TEXT = 4 * 1024 * 1024
"""Octets read of one file. A header is far shorter, and so is a Twilio message resource."""

OUTBOUND = "outbound"
WHY: dict[str, str] = {
    Reason.LISTED_ADDRESS: "an author's address is listed",
    Reason.LISTED_NUMBER: "the sender's number is listed",
    Reason.LISTED_DOMAIN: "an author writes from a listed domain",
    Reason.ADDRESS_IN_NAME: "another sender shows a listed address as the name",
    Reason.LOOK_ALIKE: "an author's address looks like a listed one",
    Reason.LISTED_NAME: "a listed name, from an address that is not listed",
    Reason.LISTED_HANDLE: "a service wrote it for a listed person",
    Reason.PROTECTED_SENDER: "a protected sender: a court, a hotline or the like",
    Reason.SERVICE_MESSAGE: "a service's own message about the owner's account",
    Reason.WRITTEN_TO: "it would be held, but the owner has written to this address",
    Reason.NOT_LISTED: "no author is listed",
    OUTBOUND: "the owner sent it",
}
HELP = """\
Say what would happen to each FILE (a message as it came, or - for standard input), and why.
Nothing is stored, nobody is asked, and the exit code is 0 whatever the answer.

With --blocked no configuration is read: the entries given stand in for the block list. An entry
with @ is mail (@example.org: a whole domain); any other is a name, under --sms a number or
sender id. Without it the rules in force are used.

With --json, one line a message: {"file", "disposition", "reason", "rule", "field"}. The
disposition is seal, hold or pass, before the choice made under `uncertain:`.
"""


def describe(parser: ArgumentParser) -> None:
    parser.description = HELP
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("--blocked", action="append", metavar="ENTRY", help="use this entry, and read no configuration")
    parser.add_argument("--region", metavar="CC", type=_region, help="country of numbers that do not name one, as GB")
    parser.add_argument("--sms", action="store_true", help="FILE is a Twilio message resource (JSON)")
    parser.add_argument("--json", action="store_true", help="one object on one line a message")
    parser.add_argument("--verbose", action="store_true", help="also each author that was seen")
    parser.add_argument("files", nargs="+", metavar="FILE")


def run(args: Namespace) -> int:
    rules = _given(args.blocked, args.region, args.sms) if args.blocked else _in_force(args)
    code = 0
    for file in args.files:
        try:
            envelope = _text(file) if args.sms else _mail(file)
        except OSError as problem:
            why = (problem.strerror or "it cannot be read").lower()
            code = complain(UsageError(f"{file}: not explained: {why}", unusable(problem).hint))
        except UsageError as problem:
            code = complain(problem)
        else:
            verdict = _verdict(envelope, rules)
            print(_as_json(file, verdict) if args.json else visible(f"{file}: {_sentence(verdict)}"))
            if args.verbose and not args.json:
                for author in envelope.authors:
                    print(visible(f"  {_seen(author, envelope, rules)}", 1000))
    return code


def _verdict(envelope: Envelope, rules: Policy) -> Verdict:
    """As `decide` has it; what the owner sent is never looked at, so it passes before that."""
    return decide(envelope, rules) if envelope.arrival else Verdict(Disposition.PASS, OUTBOUND)


def _as_json(file: str, verdict: Verdict) -> str:
    return json.dumps(
        {
            "file": file,
            "disposition": verdict.disposition.value,
            "reason": verdict.reason,
            "rule": verdict.rule,
            "field": verdict.field,
        }
    )


def _sentence(verdict: Verdict) -> str:
    where = f", in {verdict.field}" if verdict.field else ""
    entry = f", entry {verdict.rule}" if verdict.rule else ""
    return f"{verdict.disposition}: {WHY.get(verdict.reason, verdict.reason)} ({verdict.reason}{where}{entry})"


def _seen(author: Author, envelope: Envelope, rules: Policy) -> str:
    """One author as the field has it, and the forms by which it was compared."""
    text = envelope.channel is not Channel.MAIL
    name = f' "{author.name}"' if author.name else ""
    forms = (*(keys(author.address, rules.rules.region) if text else ()), author_key(author, text=text))
    return f"{author.field}: {author.address}{name}, compared as {' '.join(filter(None, forms)) or 'a name only'}"


def _in_force(args: Namespace) -> Policy:
    config = situation.load(args).config
    return policy(config.entries, args.region or config.region, config.uncertain, config.max_per_pass)


def _given(entries: Sequence[str], region: str | None, sms: bool) -> Policy:
    for entry in entries:
        if not any(character.isalnum() for character in entry):
            raise UsageError("--blocked: an entry without a letter or digit names nobody; nothing was explained")
    return policy((rule(entry, sms=sms) for entry in entries), region, Disposition.PASS, 0)


def _mail(file: str) -> Envelope:
    return _envelope(Channel.MAIL, Reader().of_message(_octets(file, MOST_MAIL)))


def _text(file: str) -> Envelope:
    raw = _octets(file, MOST_TEXT + 1)
    if len(raw) > MOST_TEXT:
        raise UsageError(f"{file}: not explained: too long for a message resource")
    try:
        resource = json.loads(raw)
    except json.JSONDecodeError as problem:
        raise UsageError(f"{file}:{problem.lineno}:{problem.colno}: not explained: not JSON") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{file}: not explained: not UTF-8 at octet {problem.start + 1}") from None
    except (RecursionError, ValueError):  # nested beyond reason; a number of thousands of digits
        raise UsageError(f"{file}: not explained: not a message resource") from None
    if not isinstance(resource, dict) or not {"from", "sid"} & resource.keys():
        raise UsageError(f"{file}: not explained: not a message resource of Twilio", "one JSON object with a `from`")
    arrival = not str(resource.get("direction", "inbound")).startswith("outbound")
    return _envelope(Channel.SMS, Reader().of_text(resource.get("from"), resource.get("body")), arrival)


def _envelope(channel: Channel, reading: Reading, arrival: bool = True) -> Envelope:
    return Envelope(
        MessageRef("", "", 0, ""),
        channel,
        reading.authors,
        datetime.fromtimestamp(0, UTC),
        arrival=arrival,
        authentication=reading.authentication,
        notice=reading.notice,
    )


def _octets(file: str, most: int) -> bytes:
    if file == "-":
        return _at_most(sys.stdin.buffer, most)
    with Path(file).open("rb") as stream:
        return _at_most(stream, most)


def _at_most(stream: BinaryIO, most: int) -> bytes:
    """A pipe gives a little at a time; read until it ends or it is enough."""
    pieces = []
    while piece := stream.read(min(most, 1024 * 1024)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _region(text: str) -> str:
    code = text.strip().upper()
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        raise ValueError
    return code
