"""Says what a first pass would do, and does none of it: nothing is sealed, marked, removed, passed on or noted down.

Without --counts it says that there is something, not how much: volume is contact too.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nocontactd.address import comparable
from nocontactd.assemble import Job, policy, sources
from nocontactd.cli import complain, situation
from nocontactd.decide import Policy, plan
from nocontactd.errors import NocontactError, SourceError, exit_code
from nocontactd.model import Envelope, Look, Steps, Written
from nocontactd.review.visible import visible

HELP = """\
Look at every source and say what a first pass over it would do. Only headers are read, and
nothing is changed. There are no numbers unless you ask for them with --counts.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--counts", action="store_true", help="say how many, too")


def run(args: Namespace) -> int:
    rules = situation.load(args)
    in_force = policy(rules.config)
    problems: list[Exception] = []
    for job in sources(rules.config, rules.state, os.environ, situation.now):
        _say(f"{job.name}: looking, and changing nothing")
        try:
            familiar = _familiar(job, situation.now() - timedelta(seconds=rules.config.loosening_delay))
            problems += _tell(job, replace(in_force, familiar=familiar), args.counts)
        except NocontactError as problem:
            problems.append(problem)
        finally:
            job.source.close()
    for found in problems:
        complain(found)
    return exit_code(problems)


def _familiar(job: Job, before: datetime) -> frozenset[str]:
    """Whom the owner has written to before then, by the dates that the source gives, as a first pass would take it."""
    letters = (item for item in job.source.written({}) if isinstance(item, Written) and item.at < before)
    return frozenset(comparable(address) for letter in letters for address in letter.addresses)


@dataclass(slots=True)
class _Seen:
    """What one source showed while it was looked through."""

    looks: list[Look]

    def envelopes(self, job: Job, digest: str) -> Iterator[Envelope]:
        for item in job.source.scan({}, digest):
            if isinstance(item, Look):
                self.looks.append(item)
            else:
                yield item


def _tell(job: Job, in_force: Policy, counts: bool) -> Iterator[Exception]:
    seen = _Seen([])
    limitless = replace(in_force, max_sweep=sys.maxsize)
    steps = plan(seen.envelopes(job, in_force.digest), limitless, frozenset())
    for line in _lines(steps, in_force.max_sweep, counts):
        print(visible(f"{job.name}: {line}"))
    for look in seen.looks:
        if look.problem:
            yield SourceError(f"{job.name}: a folder was not looked through: {look.problem}")
    if len(steps.seals) > in_force.max_sweep:
        yield NocontactError(
            f"{job.name}: a first pass would leave what stands there alone: more matches than max_per_pass allows",
            "if the entries are right, raise max_per_pass; new messages are taken out regardless",
        )


def _lines(steps: Steps, most: int, counts: bool) -> Iterator[str]:
    def some(found: int) -> str:
        return f"{found} messages" if counts else "messages"

    if steps.seals and len(steps.seals) <= most:
        yield f"{some(len(steps.seals))} of listed people would be sealed and removed"
    if len(steps.seals) > most:
        yield f"{some(len(steps.seals))} of listed people stand here" + (f"; max_per_pass is {most}" if counts else "")
    if steps.notes:
        yield f"{some(len(steps.notes))} perhaps of listed people would stay, with a sealed note"
    if steps.put_backs:
        yield f"{some(len(steps.put_backs))} that the rule on the server filed by mistake would go back to the inbox"
    if not steps.seals and not steps.notes and not steps.put_backs:
        yield "nothing would be sealed, nothing changed"


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"nocontact: {visible(text)}", file=sys.stderr, flush=True)
