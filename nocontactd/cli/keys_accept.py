"""`nocontact keys accept`: the days that came back are held against the log, and kept for a day, still locked."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nocontactd import state
from nocontactd.archive.release import of_archive, parse_release
from nocontactd.archive.unlock import check_released, identities, law
from nocontactd.cli import passphrases, released, situation
from nocontactd.cli.keys_release import read
from nocontactd.cli.keys_request import ASKED, span
from nocontactd.errors import CredentialError, NocontactError

HELP = """\
Take what the therapist sent back. Each released day is held against the archive's log first. For
24 hours the owner then opens these days, and no others: `nocontact review --released`. Each answer
is taken once; the next time, ask anew.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("release", type=Path, metavar="FILE", help="what the therapist sent back")
    passphrases.describe(parser, "owner")


def run(args: Namespace) -> int:
    rules = situation.load(args)
    archive, place = rules.config.archive, rules.state
    release = of_archive(parse_release(read(args.release)), law(archive).origin)
    if (state.read(place / ASKED) or "").strip() != release.request:
        raise NocontactError(
            "this is not the answer to the last request; nothing was accepted",
            "each answer is taken once: ask anew with `nocontact keys request`",
        )
    given = passphrases.read(args.owner_passphrase_file, "owner's passphrase")
    found = identities(archive, {"owner": given or passphrases.ask("passphrase of the owner: ")})
    if not found:
        raise CredentialError("this is not the owner's passphrase; nothing was accepted", "capitals and spaces count")
    check_released(archive, release, found["owner"])
    until = released.keep(place, release, situation.now())
    (place / ASKED).unlink(missing_ok=True)
    print(f"{span(release.days)}: open until {until:%Y-%m-%d %H:%M} UTC; nocontact review --released")
    return 0
