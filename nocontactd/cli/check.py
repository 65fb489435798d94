"""Is everything in order, here and at each source? Reads, asks and says; changes nothing, and sends nothing to anybody.

What this program cannot do is said each time: an owner who thinks that a phone is covered is
worse off than one who knows that it is not.
"""

import os
import stat
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from nocontactd import examiner, status, whereabouts
from nocontactd.archive import landlock
from nocontactd.archive.reminders import reminders
from nocontactd.assemble import Job, replaceable, sources
from nocontactd.cli import complain, situation, unusable
from nocontactd.errors import DamagedError, NocontactError, NoKeysError, SealError, exit_code
from nocontactd.in_force import InForce, NotFollowedError
from nocontactd.model import Look, Rule
from nocontactd.review.visible import visible

HELP = """\
Look whether everything is in order: the configuration, who can read the state, the keys, the
archive, and each source (it is logged in to, and its folders or settings are read; nothing there
is changed). Then say what is not covered by this program at all.
"""
NOT_COVERED = (
    "iMessage, FaceTime, social apps, other messengers and games: block there, too",
    "calls, and numbers that are spoofed or withheld: no program can know who is behind them",
    "a phone's push alert comes before any program can act; only a rule on the mail server cures that",
    "mailboxes and numbers that are not in the configuration",
    "an administrator of this machine can always stop a program; it cannot open what was sealed",
)
UNAUTHENTICATED = (
    "protected senders, and forged ones, cannot be told apart from others here without `authserv_id`: show the source"
    " of a message in this mailbox; it is what stands before the first ; in the topmost Authentication-Results that"
    " says dmarc="
)
MINIMUM_USER = 1000
"""From here on user ids are people's (login.defs(5)); below, programs'."""


@runtime_checkable
class Examined(Protocol):
    """A source that can say what at the other side weakens it."""

    def check(self) -> tuple[str, ...]: ...


@runtime_checkable
class Remarked(Protocol):
    """A source that can say what is no fault there, and should be known."""

    def remarks(self) -> tuple[str, ...]: ...


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)


def run(args: Namespace) -> int:
    rules = situation.load(args)
    problems: list[Exception] = []
    for problem in _here(rules):
        complain(problem)
        problems.append(problem)
    for warning in rules.warnings:
        print(visible(warning))
    for remark in (*_remarks(rules), _confinement(rules, situation.config_file(args))):
        print(f"remark: {visible(remark)}")
    for job in sources(rules.config, rules.state, os.environ, situation.now):
        problems += _source(job, rules.config.entries)
    for words in NOT_COVERED:
        print(f"not covered: {words}")
    if not problems:
        print("everything that was looked at is in order")
    return _code(problems)


def _code(problems: list[Exception]) -> int:
    """As a pass would end, which without an archive does not even begin."""
    halting = [problem for problem in problems if isinstance(problem, (NoKeysError, DamagedError))]
    return exit_code(halting or problems)


def _here(rules: InForce) -> Iterator[NocontactError]:
    """What is wrong on this machine."""
    if rules.problems:
        yield NotFollowedError(rules.problems)
    yield from _archive(rules)
    for path in filter(Path.exists, (rules.state, *_inside(rules.state))):  # before `keys init` there is no state
        if stat.S_IMODE(path.lstat().st_mode) & 0o077:
            yield NocontactError(f"{path}: others on this machine can get at it", f"chmod go= {path}")
    if not status.running(rules.state):
        start = "systemctl start nocontactd, or run nocontactd"
        yield NocontactError("the daemon is not running; nothing is looked at", start)


def _archive(rules: InForce) -> Iterator[NocontactError]:
    archive = rules.config.archive
    try:
        whereabouts.look(rules.state, archive)
    except NocontactError as problem:
        yield problem
        return
    for path in (archive, archive / "incoming", archive / "mail", archive / "log"):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            yield SealError(f"{path}: cannot be written, so nothing can be sealed")


def _inside(state: Path) -> list[Path]:
    return sorted(state.iterdir()) if state.is_dir() else []


def _remarks(rules: InForce) -> Iterator[str]:
    """What is no fault, and should be known."""
    yield from reminders(rules.config.archive, situation.now())
    if rules.config.mail:
        yield from examiner.remarks(rules.config.dkim)
    if rules.config.phone:
        from nocontactd.sources.twilio.settings import UNREADABLE  # its package costs 30 MB

        yield from UNREADABLE
    for source in rules.config.mail:
        if source.authserv_id is None:
            yield f"{source.name}: {UNAUTHENTICATED}"
    if rules.pending:
        yield "a loosening is waiting: see `nocontact pending`"
    if rules.state.exists() and deletable(rules.state.stat().st_uid, os.getuid()):
        yield "the state belongs to you: in a weak hour you can delete it without being root (use the system unit)"


def _confinement(rules: InForce, config_file: Path) -> str:
    """Whether the daemon is shut out of what it has sealed."""
    archive, needed = rules.config.archive, replaceable(rules.config, rules.state, config_file, os.environ)
    if why := landlock.hindrance(archive, needed):
        return f"the daemon is not kept from reading what it has sealed: {why}"
    return "the kernel keeps the daemon from reading what it has sealed (Landlock)"


def deletable(owner: int, user: int) -> bool:
    """Whether a person, not a program's user and not root, owns the state."""
    return owner == user >= MINIMUM_USER


def _shortcomings(job: Job) -> tuple[str, ...]:
    """As the source says; one that can say nothing is logged in to, and its first folder is looked into."""
    if isinstance(job.source, Examined):
        return job.source.check()
    first = next(job.source.scan({}, ""), None)
    return (first.problem,) if isinstance(first, Look) and first.problem else ()


def _source(job: Job, entries: Iterable[Rule]) -> list[Exception]:
    """Ask one source; what is wrong with it."""
    found: list[Exception] = []
    try:
        found += [NocontactError(f"{job.name}: {sentence}") for sentence in _shortcomings(job)]
        remarks = job.source.remarks() if isinstance(job.source, Remarked) else ()
        for remark in (*remarks, *(job.rule.check(entries) if job.rule else ())):
            print(visible(f"remark: {job.name}: {remark}"))
    except NocontactError as problem:
        found.append(problem)
    except OSError as problem:
        found.append(unusable(problem))
    finally:
        job.source.close()
    for each in found:
        complain(each)
    if not found:
        print(visible(f"{job.name}: in order"))
    return found
