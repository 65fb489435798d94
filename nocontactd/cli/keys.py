"""The keys of owner, therapist and witness: each verb is a module of its own, and all of them can be answered by files.

Nothing secret is ever written, but a card where that was asked for.
"""

import argparse
import resource
from argparse import ArgumentParser, Namespace
from importlib import import_module
from pathlib import Path

from nocontactd.cli import Parser, situation

HELP = """\
The archive opens for the owner and the therapist together, or for the owner and a backup witness;
not for one of them alone, not for this machine, not for its administrator. These commands make,
try and change the keys that this takes. `nocontact keys VERB --help` says more about each.
"""
VERBS = {
    "init": ("keys_init", "make the archive and its keys, for two people; about twenty minutes"),
    "rehearse": ("keys_rehearse", "try the keys, once a year: opened for two, refused to one"),
    "replace": ("keys_replace", "another therapist or witness"),
    "owner-passphrase": ("keys_owner", "another passphrase for the owner, also when it is lost"),
    "request": ("keys_request", "ask a therapist elsewhere for some days"),
    "release": ("keys_release", "the therapist, elsewhere: release the days that were asked for"),
    "countersign": ("witness", "the therapist's device signs for what it has seen of the log"),
    "accept": ("keys_accept", "take the days that came back; `nocontact review --released` opens them"),
}


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for verb, (module, line) in VERBS.items():
        inner = verbs.add_parser(verb, help=line, allow_abbrev=False)
        inner.add_argument("--config", metavar="FILE", type=Path, default=argparse.SUPPRESS, help="the configuration")
        import_module(f"nocontactd.cli.{module}").describe(inner)


def run(args: Namespace) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold what was typed
    module, _line = VERBS[args.verb]
    code: int = import_module(f"nocontactd.cli.{module}").run(args)
    return code
