"""Says whether the archive is whole and unaltered, and names every file that is not. Without keys it changes nothing.

What it is held against from outside (paper, a witness's answer, what this machine sealed to last)
is what tells a rewritten or an older archive from the true one.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nocontactd.archive import charter, names
from nocontactd.archive.advice import advice
from nocontactd.archive.current import current
from nocontactd.archive.findings import Verification
from nocontactd.archive.history import charters, reading
from nocontactd.archive.outside import Kept, kept, printed
from nocontactd.archive.verify import verify
from nocontactd.cli import UsageError, passphrases, situation
from nocontactd.cli.progress import Bar
from nocontactd.errors import DamagedError, NocontactError
from nocontactd.in_force import InForce
from nocontactd.review.visible import visible

HELP = """\
Check every sealed file against the archive's own log, the log against its signature, both copies
of keys and log, and the time-stamps. Needs no key and changes nothing. What is damaged, missing or
extra is named; what the daemon is writing just now is in progress, and no fault.

That cannot tell an older copy, or one that was rewritten and signed with a stolen key. For that a
checkpoint must lie elsewhere: print one with --print-checkpoint, or keep what the therapist's
device has signed (`nocontact keys countersign`), and give it to --checkpoint as a file, typed or
scanned.

--deep opens every record, too, with both people's passphrases, and holds what is in it against the
log. --repair puts the good one of two copies in the place of the other, as the daemon does each time
it starts; what has only one copy (the records) nothing here can mend: put it back from a backup.

Exit code 65 when anything is damaged, missing or extra, or when there is no archive (with --json
archive.json is then missing). Exit code 1, and nothing is said of the archive, when you may not read it.
"""
MEMORY = "what this machine sealed to last"
_MOST = 64 * 1024


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--json", action="store_true", help="one object: ok, damaged, missing, extra, in_progress")
    parser.add_argument("--archive", metavar="DIR", type=Path, help="a copy elsewhere; no configuration is read then")
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, action="append", default=[], help="compare with this one, too"
    )
    parser.add_argument("--print-checkpoint", action="store_true", help="print one for paper, if all is in order")
    parser.add_argument("--ca-file", metavar="FILE", type=Path, help="whose time-stamps are believed")
    parser.add_argument("--repair", action="store_true", help="mend one copy from the other; the daemon must not run")
    parser.add_argument("--deep", action="store_true", help="open every record, with both people's passphrases")
    passphrases.describe(parser)


def run(args: Namespace) -> int:
    if args.archive and (args.deep or args.repair):
        raise UsageError("--deep and --repair are for the archive of the configuration", "leave out --archive")
    outside = {str(file): _kept(file) for file in args.checkpoint}
    rules = None if args.archive else situation.load(args)
    archive = args.archive or (rules.config.archive if rules else args.archive)
    if rules and args.repair:
        _repair(rules)
    try:
        with Bar("verifying") as bar:
            found = verify(archive, bar, outside | _remembered(rules), args.ca_file or _ca_file(rules))
    except DamagedError:  # there is none at all
        if args.json:
            print(_as_json(Verification(False, (), (charter.NAME,), (), ())))
        raise
    if rules:
        found = _without_strangers(found, rules)
    if args.deep:
        from nocontactd.cli.deep import deepened  # it opens, and nothing else here does

        found = deepened(args, found)
    _say(found, args.json)
    if args.print_checkpoint and found.ok:
        with reading(archive):
            print(printed(current(archive).checkpoint), end="")
    return 0 if found.ok else DamagedError.exit_code


def _kept(file: Path) -> Kept:
    with file.open("rb") as stream:
        data = stream.read(_MOST)
    try:
        return kept(data)
    except ValueError:
        raise NocontactError(
            f"{file}: this is no checkpoint, or was not read or typed as it stands on the paper; nothing was verified",
            "compare it with the paper, character by character; spaces and line ends make no difference",
        ) from None


def _remembered(rules: InForce | None) -> dict[str, Kept]:
    """What the daemon keeps outside the archive: an older copy in its place does not begin with that."""
    if rules is None:
        return {}
    with reading(rules.config.archive):
        origins = {charter.parse(data).origin for data in charters(rules.config.archive)}
    found = [names.known(rules.state / names.NAMES, origin) for origin in sorted(origins)]
    said = next(filter(None, found), None)
    return {MEMORY: Kept(said, None)} if said else {}


def _without_strangers(found: Verification, rules: InForce) -> Verification:
    """What stands behind the last checkpoint and was not sealed here is not in progress: somebody added it."""
    added = names.strangers(rules.state / names.NAMES, found.in_progress)
    if not added:
        return found
    extra = tuple(sorted({*found.extra, *added}))
    return replace(found, ok=False, extra=extra, in_progress=tuple(sorted({*found.in_progress} - added)))


def _ca_file(rules: InForce | None) -> Path | None:
    return rules.config.tsa.ca_file if rules and rules.config.tsa else None


def _repair(rules: InForce) -> None:
    """As the daemon does at its start. BusyError: it is running, or another repair is."""
    from nocontactd.archive.seal import Archive
    from nocontactd.assemble import LOG_KEY

    archive = Archive(rules.config.archive, rules.state / LOG_KEY, situation.now)
    with closing(archive), archive.lock():
        archive.recover()


def _say(found: Verification, as_json: bool) -> None:
    if as_json:
        print(_as_json(found))
    else:
        _tell(found)
    for remark in found.remarks:
        print(visible(f"remark: {remark}"), file=sys.stderr if as_json else sys.stdout)


def _as_json(found: Verification) -> str:
    return json.dumps(
        {
            "ok": found.ok,
            "damaged": list(found.damaged),
            "missing": list(found.missing),
            "extra": list(found.extra),
            "in_progress": list(found.in_progress),
        }
    )


def _tell(found: Verification) -> None:
    for what, which in (("damaged", found.damaged), ("missing", found.missing), ("extra", found.extra)):
        for name in which:
            print(f"{what}: {visible(name)}")
    for sentence in advice(found):
        print(f"remark: {sentence}")
    if found.ok:
        print("the archive is whole and unaltered")
