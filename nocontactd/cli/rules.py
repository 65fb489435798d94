"""The block list as a rule on the mail server, so that a listed message never stands in the inbox.

Printed for the owner to install, or, over ManageSieve, put beside the owner's own script; what is
there already is never replaced, and `--undo` leaves it as it was.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path

from nocontactd import gmail, server_rule, sieve
from nocontactd.assemble import rule_folder, sieve_server
from nocontactd.cli import UsageError, situation
from nocontactd.config import Config, MailSource
from nocontactd.review.visible import visible
from nocontactd.server_rule import Activate, Delete, Put, Step

HELP = """\
sieve   print the block list as a Sieve script (RFC 5228) that files listed people's mail into a
        folder, which the daemon drains. With --push SOURCE it is installed over ManageSieve beside
        the owner's own script: run before it (`include`), or where the server has no include as a
        marked block at its top. --undo SOURCE takes it away again. With --dry-run both only say
        what they would do. What is printed wants imap4flags (RFC 5232) and regex; --push does without
        what the server lacks. Where the source has `sieve:` in the configuration, the daemon keeps
        the rule in force by itself. What is printed knows no server: where the names of folders
        begin with a prefix there, give it, too (--folder INBOX.nocontact).
gmail   print a file to be imported in Gmail's settings, under "Filters and Blocked Addresses".

A rule on the server recognises less than the daemon does: addresses and domains, in the fields that
it can see, and no name, no invitation, no letter that only looks like another. What it lets pass,
the daemon takes out a moment later. What it files by
mistake, the daemon puts back into the inbox. Gmail compares words, not addresses, and marks
nothing: what its filter files and the daemon does not recognise stays under the label; look there
now and then.
"""


KEPT = "the daemon installs it again: `sieve:` is in force here, and to take that out of the file is a loosening"


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("kind", choices=("sieve", "gmail"))
    parser.add_argument("--folder", metavar="NAME", default=sieve.FOLDER, help="file into this folder, or label")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--push", metavar="SOURCE", help="install the script at this mail source")
    there.add_argument("--undo", metavar="SOURCE", help="take it away from this mail source again")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done there, and do nothing")


def run(args: Namespace) -> int:
    named = args.push or args.undo
    if args.kind == "gmail" and named:
        raise UsageError("gmail takes no script over the network; import the printed file in its settings")
    if not args.folder.isprintable() or not args.folder.strip() or args.folder.upper() == "INBOX":
        raise UsageError("--folder: a name without control characters, and not the inbox; nothing was done")
    if args.dry_run and not named:
        raise UsageError("--dry-run goes with --push or --undo")
    rules = situation.load(args)
    config = rules.config
    if named:
        return _there(config, _source(config, named), rules.state, args)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the terminal's is: the file goes to a server
    print(gmail.filters(config.entries, args.folder) if args.kind == "gmail" else _script(config, args.folder), end="")
    return 0


def _script(config: Config, folder: str) -> str:
    return sieve.script(config.entries, folder)


def _source(config: Config, name: str) -> MailSource:
    for source in config.mail:
        if source.name == name:
            return source
    raise UsageError("there is no mail source of this name in the rules in force; nothing was done")


def _there(config: Config, source: MailSource, state: Path, args: Namespace) -> int:
    from nocontactd.sources.managesieve import scripts

    server, secret = sieve_server(source, state, os.environ)
    named = source.sieve.folder if source.sieve else args.folder
    folder = "" if args.undo else rule_folder(source, named, state, os.environ)
    with scripts(server, secret) as there:
        standing = there.standing()
        if args.undo:
            steps = server_rule.remove(standing)
        elif lacking := server_rule.missing(standing):
            raise server_rule.lacks(source.name, lacking)
        else:
            steps = server_rule.install(config.entries, folder, standing)
        if not args.dry_run:
            there.carry_out(steps)
        _say(source.name, steps, done=not args.dry_run)
    if args.undo and source.sieve:
        print(visible(f"{source.name}: {KEPT}"))
    return 0


def _say(source: str, steps: Iterable[Step], *, done: bool) -> None:
    steps = tuple(steps)
    for step in steps:
        print(visible(f"{source}: {'' if done else 'would '}{_words(step)}"))
    if not steps:
        print(visible(f"{source}: everything stands as it should; nothing to do"))
    sys.stdout.flush()


def _words(step: Step) -> str:
    if isinstance(step, Put):
        return f"store the script {step.name}"
    if isinstance(step, Activate):
        return f"run {step.name} for each delivery" if step.name else "run no script any more"
    if isinstance(step, Delete):
        return f"delete the script {step.name}"
    raise TypeError(step)
