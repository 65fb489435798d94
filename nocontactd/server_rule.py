"""Where the script stands on the server: beside the owner's own, never in its place. Plans only; nothing is done here.

With `include` (RFC 6609) a small script runs ours and then the owner's; without it our block
stands, marked, at the top of the owner's script. Either way an undo leaves what was there before.
What others have written into a script of ours, or under its name, is kept as a script of its own.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count

from nocontactd import sieve
from nocontactd.errors import NocontactError
from nocontactd.model import Rule

OURS = "nocontact"
FIRST = "nocontact-first"
"""The script that includes ours, then the owner's; active in place of the owner's."""
KEPT = "nocontact-own"
"""What stood under one of these names and was not ours."""
_INCLUDED = re.compile(r'^include :personal "((?:[^"\\]|\\.)*)";$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is on the server."""

    active: str | None
    scripts: Mapping[str, str]
    """Name to text."""
    extensions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Put:
    """Step: store this text under this name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Activate:
    """Step: run this script for each delivery; None: run none."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Step: forget this script."""

    name: str


Step = Put | Activate | Delete


def missing(standing: Standing) -> tuple[str, ...]:
    """The extensions that the server lacks; without them nothing can be installed."""
    return tuple(each for each in sieve.EXTENSIONS if each not in standing.extensions)


def marks(standing: Standing) -> bool:
    """Whether the rule can mark what it files, so that it can be put back."""
    return sieve.FLAGS in standing.extensions


def passed_over(standing: Standing) -> bool:
    """Whether our rule lies there and what runs goes by without it, which nobody but somebody else can have done."""
    running = standing.scripts[standing.active] if standing.active else ""
    return OURS in standing.scripts and standing.active != OURS and OURS not in _includes(running)


def lacks(source: str, extensions: Iterable[str]) -> NocontactError:
    """What the owner is told of a server on which nothing can be installed."""
    return NocontactError(
        f"{source}: its server cannot file by envelope and folder; no rule was installed",
        f"it lacks the Sieve extensions: {', '.join(extensions)}",
    )


def install(entries: Iterable[Rule], folder: str, standing: Standing) -> tuple[Step, ...]:
    """The steps after which these entries are filed away; none where all stands as it should."""
    entries = tuple(entries)
    kept, standing = _set_aside(standing)
    theirs = _theirs(standing)
    ours = Put(OURS, sieve.script(entries, folder, standing.extensions))
    if theirs is None:
        steps: tuple[Step, ...] = (ours, Activate(OURS))
    elif OURS in _includes(standing.scripts[theirs]):  # the owner has done it by hand
        steps = (ours, Activate(theirs))
    elif "include" in standing.extensions:
        steps = (ours, Put(FIRST, sieve.wrapper(OURS, theirs)), Activate(FIRST))
    else:
        block = sieve.block(entries, folder, standing.extensions)
        steps = (Put(theirs, sieve.with_block(standing.scripts[theirs], block, standing.extensions)),)
    return (*kept, *(step for step in steps if not _done(step, standing)))


def remove(standing: Standing) -> tuple[Step, ...]:
    """The steps after which nothing of ours is left, and the owner's script runs as before."""
    kept, standing = _set_aside(standing)
    theirs = _theirs(standing)
    text = standing.scripts[theirs] if theirs else ""
    steps = [*kept]
    if theirs and (bare := sieve.without_block(text)) != text:
        steps.append(Put(theirs, bare))
    if standing.active in {OURS, FIRST} or kept:
        steps.append(Activate(theirs))
    wanted = (theirs, *_includes(text))
    steps += [Delete(name) for name in (FIRST, OURS) if name in standing.scripts and name not in wanted]
    return tuple(steps)


def _theirs(standing: Standing) -> str | None:
    """The owner's own script, run by itself or through ours."""
    if standing.active not in {OURS, FIRST} or sieve.others(standing.scripts[standing.active], OURS):
        return standing.active
    included = _includes(standing.scripts[standing.active])
    return next((name for name in included if name != OURS and name in standing.scripts), None)


def _set_aside(standing: Standing) -> tuple[tuple[Step, ...], Standing]:
    """Keep what others have written under our names: the steps, and how things stand then."""
    steps: list[Step] = []
    for name in (OURS, FIRST) if "include" in standing.extensions else ():  # else our block goes into it
        own = sieve.others(standing.scripts.get(name, ""), OURS)
        if not own:
            continue
        names = chain([KEPT], (f"{KEPT}-{number}" for number in count(2)))
        free = next(each for each in names if standing.scripts.get(each, own) == own)
        steps += [Put(free, own)] if free not in standing.scripts else []
        active = free if standing.active == name else standing.active
        standing = replace(standing, active=active, scripts={**standing.scripts, free: own})
    return tuple(steps), standing


def _includes(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\\(.)", r"\1", name) for name in _INCLUDED.findall(text.replace("\r\n", "\n")))


def _done(step: Step, standing: Standing) -> bool:
    if isinstance(step, Put):
        return _lines(standing.scripts.get(step.name, "")) == _lines(step.text)
    return isinstance(step, Activate) and standing.active == step.name


def _lines(text: str) -> list[str]:
    """Servers and clients spell line ends as they like."""
    return text.rstrip().splitlines()
