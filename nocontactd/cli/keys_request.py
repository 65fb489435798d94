"""`nocontact keys request`: the locked keys of some days go to a therapist elsewhere; nothing is opened here."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nocontactd import state
from nocontactd.archive.history import reading
from nocontactd.archive.holders import file_of
from nocontactd.archive.pinned import places
from nocontactd.archive.regular import octets
from nocontactd.archive.release import Request
from nocontactd.archive.unlock import law, locked_keys
from nocontactd.cli import situation
from nocontactd.cli.opening import days
from nocontactd.cli.writing import write_new
from nocontactd.errors import NocontactError

HELP = """\
Ask a therapist who is elsewhere to release some days. This writes a small file, which may be sent
over any channel: what is in it is locked, and the therapist reads nothing with it either. The
therapist says `nocontact keys release FILE` on a device of their own, and sends back what that
writes; `nocontact keys accept FILE` takes it here. From then on the owner opens these days, and
only these, for 24 hours: `nocontact review --released`.

With --of witness the backup witness is asked instead.
"""
ASKED = "requested"
"""In the state: the name of the last request, so that each answer is taken once."""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("days", type=days, metavar="all|DAY|DAY..DAY", help="DAY is the UTC day of sealing")
    parser.add_argument("--of", choices=["therapist", "witness"], default="therapist", help="who is asked")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: request-DAY.json or request-DAY..DAY.json")


def run(args: Namespace) -> int:
    rules = situation.load(args)
    archive = rules.config.archive
    first, last = args.days
    with reading(archive):
        keys = {name: locked for name, locked in locked_keys(archive) if first <= name[:10] <= last}
        holder = next((octets(file) for file in places(archive, file_of(args.of)) if file.is_file()), b"")
    holders = law(archive)
    if args.of == "witness" and not holders.witness:
        raise NocontactError("this archive has no witness; no request was written", "ask the therapist: leave --of out")
    if not keys:
        raise NocontactError("nothing was sealed on these days; no request was written")
    request = Request(holders.origin, args.of, holder, tuple(sorted(keys.items())))
    target = args.out or Path(f"request-{span(request.days)}.json")
    write_new(target, request.dump())
    state.write(rules.state / ASKED, request.name + "\n")
    print(f"{target}: send this to the {args.of}, who says: nocontact keys release {target.name}")
    return 0


def span(asked: tuple[str, ...]) -> str:
    """`2026-11-20..2026-11-22`, as days are asked for."""
    return asked[0] if len(asked) == 1 else f"{asked[0]}..{asked[-1]}"
