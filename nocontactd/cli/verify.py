"""Says whether the archive is whole and unaltered. Needs no key, changes nothing, and names every file that is not."""

import json
from argparse import ArgumentParser, Namespace

from nocontactd.archive import charter
from nocontactd.archive.verify import Verification, verify
from nocontactd.cli import situation
from nocontactd.cli.progress import Bar
from nocontactd.errors import DamagedError
from nocontactd.review.visible import visible

HELP = """\
Check every sealed file against the archive's own log, the log against its signature, and both
copies of keys and log. Needs no key and changes nothing. What is damaged, missing or extra is
named; what the daemon is writing just now is in progress, and no fault.

Exit code 65 when anything is damaged, missing or extra, or when there is no archive (with --json
archive.json is then missing). Exit code 1, and nothing is said of the archive, when you may not read it.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--json", action="store_true", help="one object: ok, damaged, missing, extra, in_progress")


def run(args: Namespace) -> int:
    place = situation.load(args).config.archive
    try:
        with Bar("verifying") as bar:
            found = verify(place, bar)
    except DamagedError:  # there is none at all
        if args.json:
            print(_as_json(Verification(False, (), (charter.NAME,), (), ())))
        raise
    if args.json:
        print(_as_json(found))
    else:
        _tell(found)
    return 0 if found.ok else DamagedError.exit_code


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
    for what, names in (("damaged", found.damaged), ("missing", found.missing), ("extra", found.extra)):
        for name in names:
            print(f"{what}: {visible(name)}")
    if found.ok:
        print("the archive is whole and unaltered")
