"""Says of a message what would become of it and why. Offline; stores nothing; reads no more of a file than it must."""

import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from nocontactd import shipped
from nocontactd.cli import UsageError, complain, situation, unusable
from nocontactd.decide import Policy, Reason, decide, policy, rule
from nocontactd.model import Author, Channel, Disposition, Envelope, Kind, MessageRef, Verdict
from nocontactd.number import keys
from nocontactd.reading import Reader, Reading
from nocontactd.review.visible import visible
from nocontactd.rules import author_key, handle_key, name_keys

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
sender id. Without it the rules in force are used, and the `authserv_id` of every mailbox.

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
    parser.add_argument(
        "--verbose", action="store_true", help="also each author and how it was compared, and what is not known"
    )
    parser.add_argument("files", nargs="+", metavar="FILE")


def run(args: Namespace) -> int:
    rules, reader = _given(args.blocked, args.region, args.sms) if args.blocked else _in_force(args)
    code = 0
    for file in args.files:
        try:
            envelope, doubts = _text(file) if args.sms else _mail(file, reader)
        except OSError as problem:
            why = (problem.strerror or "it cannot be read").lower()
            code = complain(UsageError(f"{file}: not explained: {why}", unusable(problem).hint))
        except UsageError as problem:
            code = complain(problem)
        else:
            verdict = _verdict(envelope, rules)
            print(_as_json(file, verdict) if args.json else visible(f"{file}: {_sentence(verdict)}"))
            if args.verbose and not args.json:
                for line in (
                    *_details(envelope, verdict, rules),
                    *doubts,
                    *(() if args.sms else (_genuine(envelope, reader),)),
                ):
                    print(visible(f"  {line}", 1000))
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


def _details(envelope: Envelope, verdict: Verdict, rules: Policy) -> Iterator[str]:
    """Each author and how it was compared, what a service's notice counts as, and what only the daemon knows."""
    for author in envelope.authors:
        yield _seen(author, envelope, rules)
    if envelope.notice:
        must_pass = ": about the owner's account, or a payment, so it passes" if envelope.notice.must_pass else ""
        yield f"a notice of the service {envelope.notice.service}{must_pass}"
    if verdict.disposition is Disposition.HOLD:
        yield "not known here: whether the owner has written to this address; mail from one they have written to passes"


def _seen(author: Author, envelope: Envelope, rules: Policy) -> str:
    """One author as the field has it, and the forms by which it was compared."""
    text = envelope.channel is not Channel.MAIL
    shown = f' "{author.name}"' if author.name else ""
    forms = [form for form in (*_keys(author, text, rules.rules.region), author_key(author, text=text)) if form]
    names = name_keys(author.address if text else author.name) if rules.rules.names else ()
    compared = [*(dict.fromkeys(forms)), *(f'the name "{name}"' for name in names)]
    return f"{author.field}: {author.address}{shown}, compared as {' and '.join(compared) or 'a name only'}"


def _keys(author: Author, text: bool, region: str | None) -> tuple[str, ...]:
    """As a number or as the name at a service, where it is one."""
    if author.kind is Kind.HANDLE:
        return (handle_key(author.address),)
    return keys(author.address, region) if text or author.kind is Kind.NUMBER else ()


def _genuine(envelope: Envelope, reader: Reader) -> str:
    """Whether anybody vouches for the sender."""
    if not reader.authserv_ids:
        return "genuine or forged: not known without `authserv_id`, so no sender counts as protected"
    if envelope.authentication is None:
        return "genuine or forged: not known, no field is signed by a configured `authserv_id`"
    domains = ", ".join(envelope.authentication.domains)
    return f"proven by your provider: {domains}" if domains else "not proven by your provider: perhaps forged"


def _in_force(args: Namespace) -> tuple[Policy, Reader]:
    from nocontactd import assemble  # brings the archive and the ledger, which --blocked has no use for

    config = situation.load(args).config
    ids = tuple(dict.fromkeys(source.authserv_id for source in config.mail if source.authserv_id))
    return assemble.policy(replace(config, region=args.region or config.region)), _reader(ids)


def _given(entries: Sequence[str], region: str | None, sms: bool) -> tuple[Policy, Reader]:
    for entry in entries:
        if not any(character.isalnum() for character in entry):
            raise UsageError("--blocked: an entry without a letter or digit names nobody; nothing was explained")
    rules = (rule(entry, sms=sms) for entry in entries)
    versions = shipped.protected(), shipped.services().version
    return policy(rules, region, Disposition.PASS, 0, *versions), _reader()


def _reader(authserv_ids: tuple[str, ...] = ()) -> Reader:
    return Reader(authserv_ids, shipped.services(), offline=True)


def _mail(file: str, reader: Reader) -> tuple[Envelope, tuple[str, ...]]:
    reading = reader.of_message(_octets(file, MOST_MAIL))
    return _envelope(Channel.MAIL, reading), reading.doubts


def _text(file: str) -> tuple[Envelope, tuple[str, ...]]:
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
    reading = _reader().of_text(resource.get("from"), resource.get("body"))
    return _envelope(Channel.SMS, reading, arrival), reading.doubts


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
