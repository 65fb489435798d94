"""Loosenings that wait, and their withdrawal. Who asks is told what would change; nobody else ever is."""

import json
import os
from argparse import ArgumentParser, Namespace

from nocontactd import in_force
from nocontactd.cli import situation
from nocontactd.in_force import Waiting
from nocontactd.review.rows import timestamp
from nocontactd.review.visible import visible

PENDING = """\
Show the loosenings that are waiting: every change of the configuration that would let more
through than the rules in force. Each comes into force when it is due, unless it is cancelled
with `nocontact cancel ID` or the configuration is put back.
"""
CANCEL = """\
Withdraw one loosening, by the id that `nocontact pending` shows. It does not come back until the
configuration is put back and changed again. Cancelling needs no password and works at once.
"""


def describe(parser: ArgumentParser) -> None:
    if parser.prog.endswith(" cancel"):
        situation.text(parser, CANCEL)
        parser.add_argument("id", metavar="ID", help="as `nocontact pending` shows it")
    else:
        situation.text(parser, PENDING)
        parser.add_argument("--json", action="store_true", help="a list of objects: id, what, due")


def run(args: Namespace) -> int:
    if args.command == "cancel":
        situation.place(args)
        gone = in_force.cancel(situation.config_file(args), os.environ, situation.now(), args.id)
        print(f"cancelled: {visible(gone.what)}")
        return 0
    waiting = situation.load(args).pending
    if args.json:
        print(json.dumps([_as_json(item) for item in waiting]))
        return 0
    for item in waiting:
        print(f"{visible(item.id)}  due {timestamp(item.due)}  {visible(item.what)}")
    if not waiting:
        print("nothing is waiting")
    return 0


def _as_json(item: Waiting) -> dict[str, str]:
    return {"id": item.id, "what": item.what, "due": timestamp(item.due)}
