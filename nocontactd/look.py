"""One look over one source, with its proof. Whatever is known to go wrong comes back as values.

The daemon and `nocontact poll` look in the same way, under the same locks.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from nocontactd import in_force, state, status
from nocontactd.acquaintance import learn
from nocontactd.assemble import Job, Parts, assemble, reassemble
from nocontactd.coverage import Looked
from nocontactd.decide import Policy, decide
from nocontactd.errors import CredentialError, NocontactError
from nocontactd.model import Envelope, Progress
from nocontactd.poll import poll


def look(
    job: Job,
    parts: Parts,
    now: Callable[[], datetime],
    more: Callable[[Progress], object] = lambda _progress: None,
    *,
    sign: bool = False,
) -> tuple[NocontactError, ...]:
    """One pass over a source, entered in its coverage; what was wrong, or nothing.

    `more` is called when another look may go on at once with what is older. After a `sign` what came
    to the inbox goes first, before anything is asked or written that can wait.
    """
    arrived = _arrived(job, parts, now) if sign else 0
    try:
        number = parts.ledger.next_look(job.name)
    except NocontactError as problem:
        return (problem,)
    try:
        learn(job.source, parts.ledger, now)
        report = poll(job.source, parts.archive, parts.ledger, _policy(parts, now), now, job.relay)
        looks, matches, problems = report.looks, report.matches, tuple(map(_ours, report.problems))
        going_on = report.more
    except NocontactError as problem:
        looks, matches, problems, going_on = (), 0, (problem,), None
    if job.rule:
        problems += job.rule.keep(parts.entries)
    if going_on:
        more(going_on)
    said = "; ".join(dict.fromkeys(problem.message for problem in problems))
    try:
        parts.coverage.add(Looked(job.name, number, now(), parts.policy.digest, looks, arrived + matches, said))
    except NocontactError as problem:
        problems = (*problems, problem)
    return problems


def _arrived(job: Job, parts: Parts, now: Callable[[], datetime]) -> int:
    """How many newly come messages of the inbox were listed. Whatever went wrong is met again by the whole look."""
    with suppress(NocontactError):
        if job.inbox:
            return poll(job.inbox, parts.archive, parts.ledger, _policy(parts, now), now, only_new=True).matches
    return 0


def is_to_be_sealed(envelope: Envelope, parts: Parts, now: Callable[[], datetime]) -> bool:
    """Whether a look would seal this, as things stand."""
    rules = _policy(parts, now)
    return rules.seals(decide(envelope, rules))


def _policy(parts: Parts, now: Callable[[], datetime]) -> Policy:
    """The rules in force, with those to whom the owner wrote long enough ago."""
    return replace(parts.policy, familiar=parts.ledger.familiar(now() - parts.loosening_delay))


def look_at_all(
    config_file: Path,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    progress: Callable[[str, Progress], object] = lambda _source, _progress: None,
) -> Iterator[tuple[str, tuple[NocontactError, ...]]]:
    """Every source, in turn, without a daemon, until all that is older was looked through: its name, what was wrong.

    What is wrong with the file comes first, under the name `configuration`. BusyError: a daemon
    is running. ConfigError, NoKeysError, SealError: nothing was looked at.
    """
    directory = in_force.locate(config_file, environ)
    with state.lock(directory):
        status.forget(directory)
        rules = in_force.accept(config_file, environ, now(), directory=directory)
        yield "configuration", (in_force.NotFollowedError(rules.problems),) if rules.problems else ()
        with assemble(rules.config, directory, environ, now) as parts:
            broken = unusable(parts, ())
            if rules.pending and broken:
                rules = in_force.accept(config_file, environ, now(), broken, directory)
                parts = reassemble(parts, rules.config, environ, now)
            enter_loosenings(rules, parts)
            refused = set()
            for job in parts.jobs:
                problems = _to_the_end(job, parts, now, progress)
                job.source.close()
                refused |= {job.name for problem in problems if isinstance(problem, CredentialError)}
                yield job.name, problems
            parts.coverage.flush()
        if rules.pending and refused:
            in_force.accept(config_file, environ, now(), refused, directory)  # for the next time


def _to_the_end(
    job: Job, parts: Parts, now: Callable[[], datetime], progress: Callable[[str, Progress], object]
) -> tuple[NocontactError, ...]:
    """As many passes as it takes; what was wrong in the last one."""
    going_on = True

    def more(how_far: Progress) -> None:
        nonlocal going_on
        going_on = True
        progress(job.name, how_far)

    while going_on:
        going_on = False
        problems = look(job, parts, now, more)
    return problems


def unusable(parts: Parts, refused: Collection[str]) -> frozenset[str]:
    """The sources from which nothing is sealed as they were accepted: login refused, or never looked through yet."""
    try:
        return frozenset(job.name for job in parts.jobs if job.name in refused or not parts.ledger.cursors(job.name))
    except NocontactError:
        return frozenset(refused)


def enter_loosenings(rules: in_force.InForce, parts: Parts) -> None:
    """Seal what came into force, so that the archive tells by which rules it was filled. SealError."""
    for waiting in rules.applied:
        facts = (("id", waiting.id), ("what", waiting.what), ("due", waiting.due.isoformat()))
        parts.archive.enter("loosening", facts)
    if rules.applied:
        in_force.entered(rules.state)


def _ours(problem: Exception) -> NocontactError:
    """Problems hold no value, by the rule of errors.py; of a foreign one only its kind is told."""
    return problem if isinstance(problem, NocontactError) else NocontactError(type(problem).__name__)
