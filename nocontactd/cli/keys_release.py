"""`nocontact keys release`: for a therapist elsewhere. It takes one lock off the days of a request, and reads nothing.

It needs neither a configuration nor an archive: the request, this program, and the card.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nocontactd.archive.release import MOST, Request, parse_request
from nocontactd.archive.unlock import identity, released
from nocontactd.cli import UsageError, passphrases, situation
from nocontactd.cli.asking import ask_holder, yes
from nocontactd.cli.keys_request import span
from nocontactd.cli.writing import write_new
from nocontactd.errors import CredentialError

HELP = """\
For the therapist (or the witness), on a device of their own: release the days that the owner asks
for in FILE. The lock that your card opens is taken off the keys of these days; the owner's own lock
stays on, so that you read nothing, and nobody does on the way back. You are told which days are
asked for, and asked. Only these days open with what is written.

A request that was made by hand could name a day and hold another one's key: release for somebody
you trust, and for few days at a time. With --key FILE your own copy of your locked key is used,
not the one in the request.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("request", type=Path, metavar="FILE", help="what the owner sent")
    parser.add_argument("--key", type=Path, metavar="FILE", help="your locked key, where the archive does not keep it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: release-DAY.json or release-DAY..DAY.json")
    passphrases.describe(parser, "therapist", "witness")


def run(args: Namespace) -> int:
    request = parse_request(read(args.request))
    locked = args.key.read_bytes() if args.key else request.holder
    if not locked:
        raise CredentialError(
            f"the key of the {request.role} is not in this request; nothing was released",
            "name your own copy of it: --key FILE",
        )
    print(f"asked for: {_in_words(request.days)}")
    found = identity([locked], _phrase(args, request))
    if not found:
        raise CredentialError(f"this is not what the {request.role} has; nothing was released", _HINT)
    release = released(request, found)
    target = args.out or Path(f"release-{span(release.days)}.json")
    write_new(target, release.dump())
    print(f"{target}: send this back to the owner, who says: nocontact keys accept {target.name}")
    return 0


def _in_words(days: tuple[str, ...]) -> str:
    return ", ".join(days) if len(days) <= _MOST_NAMED else f"{len(days)} days, {span(days)}"


def read(file: Path) -> bytes:
    """What was sent, as far as it can be a request or release. OSError."""
    with file.open("rb") as stream:
        return stream.read(MOST + 1)


def _phrase(args: Namespace, request: Request) -> str:
    files = {role: getattr(args, f"{role}_passphrase_file") for role in ("therapist", "witness")}
    if not any(files.values()):
        if not yes("Release these days?"):
            raise CredentialError("nothing was released", "the owner can ask for other days")
        return ask_holder(request.role)
    if not files[request.role]:
        raise UsageError(
            f"this request is for the {request.role}; nothing was released",
            f"--{request.role}-passphrase-file F; or let the owner ask with --of",
        )
    return passphrases.read(files[request.role], f"{request.role}'s passphrase") or ""


_MOST_NAMED = 14
_HINT = "the words stand on the card in their order; was the request made for you, and not for the other holder?"
