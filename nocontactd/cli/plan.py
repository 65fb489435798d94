"""Says what a first pass would do, and does none of it: nothing is sealed, marked, removed, passed on or noted down.

Without --counts it says that there is something, not how much: volume is contact too.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nocontactd.address import comparable
from nocontactd.assemble import Job, policy, sources
from nocontactd.cli import complain, situation
from nocontactd.cli.progress import Bar
from nocontactd.decide import Policy, guard, plan
from nocontactd.errors import NocontactError, SourceError, UnreachableError, exit_code
from nocontactd.model import Cursor, Envelope, Look, MessageRef, Written
from nocontactd.review.visible import visible

HELP = """\
Look at every source and say what a first pass over it would do. Only headers are read, and
nothing is changed. There are no numbers unless you ask for them with --counts.

What an entry would take before it is in force: copy the configuration, add the entry to the copy,
and name the copy with --config.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--counts", action="store_true", help="say how many, too")


def run(args: Namespace) -> int:
    rules = situation.load(args)
    in_force = policy(rules.config)
    problems: list[Exception] = []
    for job in sources(rules.config, rules.state, os.environ, situation.now):
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
class _Foreseen:
    """What a first pass over one source would do."""

    sealed: int = 0
    noted: int = 0
    put_back: int = 0
    looked: int = 0
    whole: int = 0

    def add(self, envelopes: Iterable[Envelope], in_force: Policy) -> None:
        steps = plan(envelopes, in_force, frozenset())
        self.sealed, self.noted = self.sealed + len(steps.seals), self.noted + len(steps.notes)
        self.put_back += len(steps.put_backs)


def _tell(job: Job, in_force: Policy, counts: bool) -> Iterator[Exception]:
    foreseen = _Foreseen()
    with Bar(f"nocontact: {visible(job.name)}: looking, and changing nothing") as bar:
        problems = list(_look_through(job, in_force, foreseen, bar))
    for line in _lines(foreseen, in_force.max_sweep, counts):
        print(visible(f"{job.name}: {line}"))
    yield from problems
    if guard(foreseen.sealed, in_force):
        yield NocontactError(
            f"{job.name}: a first pass would leave what stands there alone: more matches than max_per_pass allows",
            "if the entries are right, raise max_per_pass; new messages are taken out regardless",
        )


def _look_through(job: Job, in_force: Policy, foreseen: _Foreseen, bar: Bar) -> Iterator[Exception]:
    looks: list[Look] = []
    new: set[MessageRef] = set()
    for item in job.source.scan({}, in_force.digest):
        if isinstance(item, Look):
            looks.append(item)
        else:
            new.add(item.ref)
            foreseen.add([item], in_force)
    foreseen.whole = sum(look.exists for look in looks)
    for look in looks:
        if look.problem:
            yield SourceError(f"{job.name}: a folder was not looked through: {look.problem}")
            continue
        older = Cursor(look.folder, look.uidvalidity, look.next_uid, in_force.digest, look.next_uid)
        try:
            for stretch in job.source.older(older, in_force.concerns):
                foreseen.add((each for each in stretch.envelopes if each.ref not in new), in_force)
                foreseen.looked += stretch.looked
                bar(min(foreseen.looked, foreseen.whole), foreseen.whole)
        except UnreachableError:
            raise
        except SourceError as problem:
            yield problem


def _lines(foreseen: _Foreseen, most: int, counts: bool) -> Iterator[str]:
    def some(found: int) -> str:
        return f"{found} messages" if counts else "messages"

    if 0 < foreseen.sealed <= most:
        yield f"{some(foreseen.sealed)} of listed people would be sealed and removed"
    if foreseen.sealed > most:
        yield f"{some(foreseen.sealed)} of listed people stand here" + (f"; max_per_pass is {most}" if counts else "")
    if foreseen.noted:
        yield f"{some(foreseen.noted)} perhaps of listed people would stay, with a sealed note"
    if foreseen.put_back:
        yield f"{some(foreseen.put_back)} that the rule on the server filed by mistake would go back to the inbox"
    if not foreseen.sealed and not foreseen.noted and not foreseen.put_back:
        yield "nothing would be sealed, nothing changed"
