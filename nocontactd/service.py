"""`nocontactd`: a schedule, signals, health. What a look does is none of its business.

Each source has a thread of its own, so that one that hangs delays no other. The watchdog is fed
by finished looks alone, so that one that hangs is noticed. Log lines hold sources and reasons.
"""

import os
import resource
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, signal
from threading import Thread
from typing import Any

from nocontactd import __version__, in_force, state, status
from nocontactd.assemble import Job, Parts, assemble, confine, reassemble
from nocontactd.errors import BusyError, ConfigError, CredentialError, NocontactError, UnreachableError, exit_code
from nocontactd.health import Health
from nocontactd.in_force import InForce
from nocontactd.interruptible import Interruptible, InterruptibleRelay
from nocontactd.journal import log, open_journal, where
from nocontactd.look import enter_loosenings, is_to_be_sealed, look, unusable
from nocontactd.model import Envelope, Progress
from nocontactd.notify import notify, watchdog
from nocontactd.ports import Listener
from nocontactd.proposal import Proposal
from nocontactd.signals import catch, caught
from nocontactd.watch import LONGEST_REST, Watch

TICK = 0.5
"""Seconds between two looks at the file, the requests and the clock."""
GRACE = 5.0
"""Seconds that a look under way is given at the end; the state survives a look cut off anywhere."""
STATUS_AGE = 60.0
"""Seconds after which the status is written again: one that is much older is not believed."""
RETRY = 60.0
"""Seconds until a configuration that could not be taken over is tried again."""
SHORT_RETRY = 2.0
"""Seconds between two looks whether something that waits may come into force."""
CLOCK_STEP = 5.0
"""Seconds by which the wall clock must have been set to be noticed: the schedule goes by it."""
STAMPS = "time-stamp: daily"
"""The job that has the log's checkpoint time-stamped; no source can be called so."""
STAMPS_EVERY = 3600.0
"""Seconds between two attempts, until the day has its time-stamp."""
DAYS = "archive: days"
"""The job that closes the days that are over: a second after midnight, and once a minute until it is done."""
GOING_ON = "what is older is being looked through; what is new goes before it"
LOOSENING = "a change that lets more through is waiting: see `nocontact pending`"


def main(argv: Sequence[str] | None = None) -> int:
    """The daemon; its exit code."""
    parser = ArgumentParser(prog="nocontactd", description="Keeps a cut contact cut. Runs in the foreground.")
    parser.add_argument("--config", metavar="FILE", type=Path, help="else NOCONTACT_CONFIG, the user's own, or /etc")
    parser.add_argument("--version", action="version", version=f"nocontactd {__version__}")
    said = parser.parse_args(argv)
    os.umask(0o077)
    with suppress(OSError, ValueError):  # a unit that forbids the call has set it by LimitCORE=
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold secrets and the mail under way
    open_journal(os.environ)
    try:
        return serve(state.config_file(said.config, os.environ), os.environ)
    except NocontactError as problem:
        return _complain(problem)
    except OSError as problem:
        place = os.fsdecode(problem.filename) if problem.filename else "the daemon"
        return _complain(NocontactError(f"{place}: {problem.strerror}; nothing was looked at"))


def serve(config_file: Path, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM. NocontactError: it cannot start, and why."""
    signal(SIGHUP, SIG_IGN)  # until there is something that could be read anew
    directory = in_force.locate(config_file, environ)
    with ExitStack() as held:
        held.enter_context(state.lock(directory))
        status.forget(directory)
        rules = in_force.accept(config_file, environ, _now(), directory=directory)
        parts = held.enter_context(assemble(rules.config, directory, environ, _now))
        if why := confine(rules.config, directory, config_file, environ):  # before any thread is started
            log.warning("this process is not kept from reading what it has sealed: %s", why)
        service = Service(config_file, environ, rules, parts, _now, time.monotonic)
        descriptor = catch()
        service.start()
        while not service.ending and not service.moved:
            service.tick(caught(descriptor, TICK))
        service.end()
    if service.moved:  # another archive is in force: begin anew, with everything as at a start
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if service.stuck:
        sys.stderr.flush()
        os._exit(0)  # a thread that never returns would hold up the interpreter's own end for ever
    return 0


class Service:
    """The schedule of all sources and what is told of it.

    Each source's thread runs `_attend`, the schedule's own do little things; everything else is the main one's.
    """

    def __init__(
        self,
        config_file: Path,
        environ: Mapping[str, str],
        rules: InForce,
        parts: Parts,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.ending = False
        self.moved = False
        """The archive in force is not the one that is open."""
        self._config_file, self._environ = config_file, environ
        self._rules, self._parts = rules, parts
        self._now, self._monotonic = now, monotonic
        self._watches: dict[str, Watch] = {}
        self._retired: list[Watch] = []
        self._health = Health(now, monotonic)
        self._watchdog = watchdog(environ)
        self._scheduler = _scheduler()
        self._proposal = Proposal(config_file)
        self._broken: frozenset[str] = frozenset()
        self._retry_at = monotonic()
        self._trouble: tuple[str, ...] = ()
        self._skew = self._clock_skew()
        self._answered = status.asked(rules.state)
        self._request: tuple[str, Mapping[str, int]] | None = None
        self._waiting: frozenset[str] | None = None
        """The sources whose looks the request waits for, as it was answered last."""
        self._told: tuple[float, status.Status] | None = None
        self._stamping = False
        self._unstamped: tuple[str, ...] = ()
        self._unclosed: tuple[str, ...] = ()
        self._going_on: dict[str, Progress] = {}
        """The sources whose older messages are being looked through."""

    @property
    def stuck(self) -> bool:
        """Whether a look has not come to its end."""
        return self._stamping or any(watch.busy for watch in (*self._watches.values(), *self._retired))

    def start(self) -> None:
        """Begin: the first look at each source is made at once."""
        self._enter()
        self._scheduler.add_executor(_thread(), STAMPS)
        self._scheduler.add_executor(_thread(), DAYS)
        self._scheduler.add_job(self._close_days, "cron", second=1, id=DAYS, executor=DAYS, next_run_time=self._now())
        self._schedule()
        self._scheduler.start()
        self._tell()
        notify(self._environ, "READY=1", *self._patience())
        log.info("started")
        for remark in self._parts.remarks:
            log.warning("%s", remark)
        self._say(self._rules, None)

    def tick(self, signals: frozenset[Signals]) -> None:
        """See to whatever has come up since the last tick."""
        if signals & {SIGTERM, SIGINT}:
            self.ending = True
            return
        if SIGHUP in signals or self._proposal.changed() or self._overdue():
            self._reload()
        if SIGHUP in signals or self._clock_was_set():
            self._ask_all()
        self._answer()
        self._tell()

    def end(self) -> None:
        """Let looks under way finish the step they are at, seal what there is to say of them, close."""
        self.ending = True
        if not self.moved:
            notify(self._environ, "STOPPING=1")
        log.info("ending")
        self._scheduler.shutdown(wait=False)  # waiting has no limit there
        until = self._monotonic() + GRACE
        while self.stuck and self._monotonic() < until:
            time.sleep(0.02)
        for watch in self._watches.values():
            watch.retire()
        try:
            self._parts.coverage.flush()
        except NocontactError as problem:
            log.error("%s", problem.message)

    def _attend(self, watch: Watch) -> None:
        """A source's own thread, which owns its connection: look whenever it is due, asked for or rung for."""
        while watch.wait() and not self.ending:
            if not (job := watch.begin(self._monotonic())):
                continue
            problems = self._look(job, watch)
            refused = any(isinstance(problem, CredentialError) for problem in problems)
            unreachable = any(isinstance(problem, UnreachableError) for problem in problems)
            wait = watch.rest(self._monotonic(), refused=refused, unreachable=unreachable)
            if not self.ending:
                self._report(job.name, problems, wait)
            watch.end(job)

    def _look(self, job: Job, watch: Watch) -> tuple[NocontactError, ...]:
        def ending() -> bool:
            return self.ending

        asked: list[Progress] = []

        relay = InterruptibleRelay(job.relay, ending) if job.relay else None
        inbox = Interruptible(job.inbox, ending) if job.inbox else None
        interruptible = replace(job, source=Interruptible(job.source, ending), relay=relay, inbox=inbox)
        act = partial(look, interruptible, self._parts, self._now, asked.append, sign=watch.signed)
        problems = self._guarded(f"{job.name}: the look", act)
        if asked:
            self._going_on[job.name] = asked[-1]
            watch.ask()
        else:
            self._going_on.pop(job.name, None)
        return problems

    def _guarded(self, what: str, act: Callable[[], tuple[NocontactError, ...]]) -> tuple[NocontactError, ...]:
        """Do what must not end the daemon, however it fails; what went wrong with it."""
        try:
            return act()
        except NocontactError as problem:
            return (problem,)
        except Exception as surprise:  # noqa: BLE001  # the only one in the program
            kind = f"{type(surprise).__name__} at {where(surprise.__traceback__)}"
            return (NocontactError(f"{what} was not finished: an error of this program ({kind})"),)

    def _report(self, source: str, problems: tuple[NocontactError, ...], wait: float) -> None:
        known = {problem.message for problem in self._health.problems(source) or ()}
        self._health.finished(source, problems, wait)
        for problem in problems:
            if problem.message not in known:
                log.warning("%s", problem.message)
        if known and not problems:
            log.info("%s: well again", source)
        log.debug("%s: looked", source)
        if self._watchdog and self._health.on_time(self._watchdog / 2):
            notify(self._environ, "WATCHDOG=1")

    def _patience(self) -> tuple[str, ...]:
        """How long systemd is to wait for WATCHDOG=1: looks may be hours apart, and rest after a refused login."""
        if not self._watchdog:
            return ()
        longest = max((job.every for job in self._parts.jobs), default=0.0)
        return (f"WATCHDOG_USEC={int((self._watchdog + 2 * max(longest, LONGEST_REST)) * 1_000_000)}",)

    def _schedule(self) -> None:
        """Make the watches those of the jobs in force, and have each look at once."""
        jobs = {job.name: job for job in self._parts.jobs}
        for name in self._watches.keys() - jobs.keys():
            self._scheduler.remove_job(_slot(name))
            self._retired = [watch for watch in self._retired if watch.busy] + [self._watches.pop(name)]
            self._retired[-1].retire()
        self._health.expect({name: job.every for name, job in jobs.items()})
        for name, job in jobs.items():
            if name in self._watches:
                if job.source is not self._watches[name].job.source:
                    self._listen(self._watches[name], job)
                self._watches[name].replace(job)
                self._scheduler.reschedule_job(_slot(name), trigger=_every(job.every))
            else:
                self._watches[name] = watch = Watch(job)
                self._listen(watch, job)
                self._scheduler.add_job(watch.fall_due, _every(job.every), id=_slot(name))
                Thread(target=self._attend, args=(watch,), name=name, daemon=True).start()
        at_once = {"next_run_time": self._now(), "replace_existing": True}
        self._scheduler.add_job(self._stamp, _every(STAMPS_EVERY), id=STAMPS, executor=STAMPS, **at_once)

    def _stamp(self) -> None:
        """Have the log time-stamped, once a day; an authority that is away for a while is nobody's concern."""
        self._stamping = True
        anchors = self._parts.anchors
        problems = self._guarded("the time-stamp", lambda: anchors.anchor(self._now)) if anchors else ()
        unstamped = tuple(problem.message for problem in problems)
        for message in unstamped:
            if message not in self._unstamped:
                log.warning("%s", message)
        self._unstamped, self._stamping = unstamped, False

    def _close_days(self) -> None:
        """Once a minute: fill the days that are over up with cover records; what stands in the way is said once."""
        unclosed = tuple(problem.message for problem in self._guarded("closing the day", self._close))
        for message in unclosed:
            if message not in self._unclosed:
                log.warning("%s", message)
        self._unclosed = unclosed

    def _close(self) -> tuple[NocontactError, ...]:
        self._parts.archive.close_days()
        self._parts.archive.decoy()
        return ()

    def _listen(self, watch: Watch, job: Job) -> None:
        """Have the source say when something may have come, if it can; the timer goes on regardless."""
        listener = job.listener(watch.ring, self._wants) if job.listener else None
        watch.hear(listener)
        if listener:
            Thread(target=self._hear, args=(job.name, listener), daemon=True).start()

    def _wants(self, envelope: Envelope) -> bool:
        return is_to_be_sealed(envelope, self._parts, self._now)

    def _hear(self, source: str, listener: Listener) -> None:
        def run() -> tuple[NocontactError, ...]:
            listener.run()
            return ()

        for problem in self._guarded(f"{source}: listening", run):
            log.error("%s", problem.message)

    def _ask_all(self) -> dict[str, int]:
        """Have every source looked at now; how many looks each had begun before."""
        return {name: watch.ask() for name, watch in self._watches.items()}

    def _overdue(self) -> bool:
        """Whether the rules in force may change without the file: something waits and may go on, or failed."""
        if self._monotonic() < self._retry_at or not (self._trouble or self._rules.pending):
            return False
        due = any(waiting.due <= self._now() for waiting in self._rules.pending)
        return bool(due or self._trouble or self._unusable() != self._broken)

    def _unusable(self) -> frozenset[str]:
        return unusable(self._parts, self._health.refused())

    def _reload(self) -> None:
        notify(self._environ, "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        before, known = self._rules, self._trouble
        # Where it fails, what was in force goes on.
        self._trouble = tuple(problem.message for problem in self._guarded("the configuration", self._take_over))
        self._retry_at = self._monotonic() + (RETRY if self._trouble else SHORT_RETRY)
        for trouble in self._trouble:
            if trouble not in known:
                log.error("%s", trouble)
        self._say(self._rules, before)
        if not self.moved:
            notify(self._environ, "READY=1", *self._patience())

    def _take_over(self) -> tuple[NocontactError, ...]:
        self._broken = self._unusable()
        rules = in_force.accept(self._config_file, self._environ, self._now(), self._broken, self._rules.state)
        if rules.config.archive != self._rules.config.archive:
            self.moved = True
        elif rules.config != self._rules.config:
            self._parts = reassemble(self._parts, rules.config, self._environ, self._now)
            self._schedule()
        self._rules = rules
        self._enter()
        return ()

    def _enter(self) -> None:
        try:
            enter_loosenings(self._rules, self._parts)
        except NocontactError as problem:
            log.error("%s", problem.message)

    def _say(self, rules: InForce, before: InForce | None) -> None:
        """Tell the journal what changed in the rules, without saying what they are."""
        for problem in rules.problems:
            if before is None or problem not in before.problems:
                log.error("%s", problem)
        for warning in rules.warnings:
            if before is None or warning not in before.warnings:
                log.warning("%s", warning)
        if before is not None and rules.config != before.config:
            log.info("the configuration was taken over")
        if rules.pending and (before is None or rules.pending != before.pending):
            log.info(LOOSENING)

    def _clock_skew(self) -> float:
        return self._now().timestamp() - self._monotonic()

    def _clock_was_set(self) -> bool:
        """A clock set back would stop the schedule until it has caught up."""
        skew = self._clock_skew()
        if abs(skew - self._skew) < CLOCK_STEP:
            return False
        self._skew = skew
        self._told = None  # by the new time, the status would be too old or of the future
        log.info("the clock was set: every source is looked at")
        return True

    def _answer(self) -> None:
        """See to `nocontact poll`, which asks a running daemon."""
        token = status.asked(self._rules.state)
        if token and token != self._answered:
            self._answered = token
            self._request, self._waiting = (token, self._ask_all()), None
        if self._request is None:
            return
        token, begun = self._request
        waiting = frozenset(
            name
            for name, count in begun.items()
            if name in self._watches and (self._watches[name].ended <= count or name in self._going_on)
        )
        if waiting == self._waiting:
            return
        self._waiting = waiting
        if not waiting:
            self._request = None
        self._try(lambda: status.reply(self._rules.state, self._answered_with(token, waiting)))

    def _answered_with(self, token: str, waiting: frozenset[str]) -> status.Answer:
        found: list[tuple[str, NocontactError]] = []
        for name in self._watches:
            unfinished = BusyError(f"{name}: the look has not finished yet; it goes on", "see `nocontact status`")
            problems = (unfinished,) if name in waiting else self._health.problems(name) or ()
            found += [(name, problem) for problem in problems]
        # Rules that were accepted are in force all the same: this is no reason to take the daemon for useless.
        found += [("configuration", NocontactError(problem)) for problem in self._problems()]
        told = tuple(status.Problem(name, problem.message, problem.hint) for name, problem in found)
        return status.Answer(token, exit_code(problem for _, problem in found), told, not waiting)

    def _problems(self) -> tuple[str, ...]:
        return self._rules.problems + self._trouble

    def _tell(self) -> None:
        """Write the status when it changed, and now and then."""
        remarks = self._parts.remarks + ((LOOSENING,) if self._rules.pending else ())
        going_on = {name: self._going_on.get(name) for name in sorted(self._watches)}
        remarks += tuple(f"{name}: {GOING_ON} ({_percent(how_far)} %)" for name, how_far in going_on.items() if how_far)
        said = self._health.status(self._problems() + self._unstamped, remarks)
        at = self._monotonic()
        if self._told is None or self._told[1] != said or at - self._told[0] >= STATUS_AGE:
            self._told = (at, said)
            self._try(lambda: status.write(self._rules.state, said))

    def _try(self, act: Callable[[], None]) -> None:
        """What cannot be written now is written again within a minute; looks go on."""
        try:
            act()
        except NocontactError as problem:
            log.error("%s", problem.message)


def _scheduler() -> Any:
    from apscheduler.schedulers.background import BackgroundScheduler

    # By default a job that is a second late is dropped, without a word.
    late = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    return BackgroundScheduler(timezone=UTC, job_defaults=late)


def _every(seconds: float) -> Any:
    from apscheduler.triggers.interval import IntervalTrigger

    return IntervalTrigger(seconds=seconds, timezone=UTC)


def _thread() -> Any:
    from apscheduler.executors.pool import ThreadPoolExecutor

    return ThreadPoolExecutor(max_workers=1)


def _percent(how_far: Progress) -> int:
    return 100 * how_far.looked // max(how_far.whole, 1)


def _slot(source: str) -> str:
    return f"source {source}"  # none of the other jobs is called so


def _now() -> datetime:
    return datetime.now(UTC)


def _complain(problem: NocontactError) -> int:
    """Why the daemon does not start."""
    for line in problem.problems if isinstance(problem, ConfigError) else (problem.message,):
        sys.stderr.write(f"nocontactd: error: {line}\n")
    if problem.hint:
        sys.stderr.write(f"nocontactd: hint: {problem.hint}\n")
    return problem.exit_code
