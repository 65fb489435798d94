"""One pass over every source, now. A running daemon makes it itself: two at once would seal everything twice.

Nothing is printed when all went well: not even whether anything came.
"""

import os
import secrets
import sys
import time
from argparse import ArgumentParser, Namespace
from functools import partial

from nocontactd import status
from nocontactd.cli import complain, situation
from nocontactd.cli.progress import Bar
from nocontactd.errors import NocontactError, exit_code
from nocontactd.look import look_at_all
from nocontactd.model import Progress

HELP = """\
Look at every source once, now, and seal and remove what listed people sent. When the daemon is
running it is asked to do so, and this waits for it. Prints nothing unless something went wrong.

A daemon that does not take note of the request within 10 seconds is given up, with exit code 75;
so is, after 90 seconds, a look that has not finished: its source is named, and the look goes on.
"""
PATIENCE = 90.0
"""Seconds for the daemon's looks: one at a silent server, or the first through a large mailbox, takes longer."""
WAITING = "waiting for the daemon to look at every source"


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)


def run(args: Namespace) -> int:
    place = situation.place(args)
    if status.running(place):
        answer = status.request(place, secrets.token_hex(16), PATIENCE, time.sleep, _waiting)
        for problem in dict.fromkeys(answer.problems):
            complain(NocontactError(problem.message, problem.hint))
        return answer.exit_code
    problems: list[Exception] = []
    with Bar("looking through what is older") as bar:
        for _, found in look_at_all(situation.config_file(args), os.environ, situation.now, partial(_show, bar)):
            bar.wipe()
            for trouble in found:
                complain(trouble)
            problems += found
    return exit_code(problems)


def _show(bar: Bar, _source: str, progress: Progress) -> None:
    bar(progress.looked, progress.whole)


def _waiting() -> None:
    if sys.stderr.isatty():
        print(WAITING, file=sys.stderr)
