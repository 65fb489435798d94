"""Healthy or not, and why not. No count and no name of a sender: this may be read over a shoulder."""

import json
from argparse import ArgumentParser, Namespace

from nocontactd import status
from nocontactd.archive.reminders import reminders
from nocontactd.cli import complain, situation
from nocontactd.config import Config
from nocontactd.errors import ConfigError
from nocontactd.review.rows import timestamp
from nocontactd.review.visible import visible
from nocontactd.status import SourceStatus, Status

HELP = """\
Say whether the daemon is running and every source is looked at, and if not, why not. There are
no counts and no names here. A daemon that has said nothing for three minutes is not healthy.
Exit code 0: healthy; 1: not healthy, or not running.

With --json one object: healthy, since, sources: [{source, healthy, problem}].
"""
STOPPED = "the daemon is not running; nothing is looked at"
STARTING = "the daemon has just been started; not looked at yet"


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("--json", action="store_true", help="one object on one line")


def run(args: Namespace) -> int:
    code, config = 1, None
    try:
        config = situation.load(args).config
    except ConfigError as problem:  # nothing was accepted yet, so the daemon refuses to start
        code = complain(problem)
    place = situation.place(args)
    running, said = status.running(place), status.believed(place, situation.now())
    sources = _sources(running, said, config)
    healthy = running and said is not None and said.healthy
    if args.json:
        print(_as_json(healthy, said, sources))
    else:
        _tell(healthy, running, said, sources, config)
    return 0 if healthy else code


def _sources(running: bool, said: Status | None, config: Config | None) -> tuple[SourceStatus, ...]:
    """As the daemon said last; what it said before it ended is not so any more."""
    if running and said:
        return said.sources
    if config is None:
        return ()
    names = (*(mail.name for mail in config.mail), *(phone.name for phone in config.phone))
    return tuple(SourceStatus(name, False, STARTING if running else STOPPED) for name in names)


def _as_json(healthy: bool, said: Status | None, sources: tuple[SourceStatus, ...]) -> str:
    return json.dumps(
        {
            "healthy": healthy,
            "since": timestamp(said.since) if said else None,
            "sources": [
                {"source": source.source, "healthy": source.healthy, "problem": source.problem} for source in sources
            ],
        }
    )


def _tell(
    healthy: bool, running: bool, said: Status | None, sources: tuple[SourceStatus, ...], config: Config | None
) -> None:
    if healthy:
        print("healthy")
    elif not running:
        print(f"not running: {STOPPED}")
    else:
        print("not healthy")
    for problem in said.problems if running and said else ():
        print(f"  {visible(problem)}")
    for source in sources if running else ():
        if not source.healthy:
            print(visible(f"  {source.source}: {source.problem or 'not healthy'}"))
            if source.hint:
                print(visible(f"    hint: {source.hint}"))
    for remark in (*(said.remarks if running and said else ()), *_reminders(config)):
        print(f"  remark: {visible(remark)}")


def _reminders(config: Config | None) -> tuple[str, ...]:
    return reminders(config.archive, situation.now()) if config else ()
