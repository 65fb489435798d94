"""Opens the archive for two, for whichever command asks: says what is done before it is done, and logs it.

The opening is entered in the archive's log before any message is read.
"""

import resource
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from nocontactd.archive.seal import Archive
from nocontactd.archive.unlock import law
from nocontactd.archive.unseal import Opener, unlock, unlock_released
from nocontactd.assemble import LOG_KEY
from nocontactd.cli import passphrases, released, situation, unusable
from nocontactd.cli.passphrases import Passphrases
from nocontactd.cli.progress import Bar
from nocontactd.errors import CredentialError, DamagedError, NocontactError, UnsoundError
from nocontactd.in_force import InForce
from nocontactd.review.listing import Listing
from nocontactd.review.visible import visible

Range = tuple[str, str]
"""First and last day."""
ALL: Range = ("", "9")


@dataclass(frozen=True, slots=True)
class Opening:
    """An archive that two people have opened, and the days of it that were asked for."""

    rules: InForce
    opener: Opener
    days: tuple[str, ...]
    by: str
    """Who they are, in words: no name."""
    code: int = 0
    """65 where the opening could not be logged for damage."""

    @property
    def archive(self) -> Path:
        return self.rules.config.archive

    @property
    def listing(self) -> Listing:
        return Listing(self.opener, self.archive, situation.now, _index_unwritten)

    def enter(self, *facts: tuple[str, str]) -> int:
        """Every opening is in the log; but evidence on a read-only disk must open all the same.

        An exit code: 65 where the log is damaged.
        """
        try:
            archive = Archive(self.archive, self.rules.state / LOG_KEY, situation.now)
            try:
                archive.enter("opening", (("by", self.by), *facts))
            finally:
                archive.close()
        except (NocontactError, OSError) as problem:
            reason = problem.message if isinstance(problem, NocontactError) else unusable(problem).message
            say(f"warning: this opening could not be entered in the log ({reason}); going on without")
            return UnsoundError.exit_code if isinstance(problem, UnsoundError | DamagedError) else 0
        return 0


def describe(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=days, default=ALL, metavar="all|DAY|DAY..DAY", help="default: all")
    parser.add_argument(
        "--released", action="store_true", help="open the days that `nocontact keys accept` took: the owner alone"
    )
    passphrases.describe(parser)


def opened(args: Namespace, purpose: str) -> Opening:
    """Ask for the passphrases or read them, unlock, and log it. CredentialError, DamagedError, NocontactError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold what was typed, and what is opened
    rules = situation.load(args)
    archive = rules.config.archive
    by, unlocked = _alone(args, rules) if args.released else _together(args, archive)
    say(f"opening the archive {archive} for {by}; no message in it is changed; the opening is entered in its log")
    opener = unlocked()
    chosen = tuple(day for day in opener.days() if args.days[0] <= day <= args.days[1])
    done = Opening(rules, opener, chosen, by)
    say("this opening is being entered in the archive's log")
    code = done.enter(("days", f"{chosen[0]}..{chosen[-1]}" if chosen else "none"), ("for", purpose))
    return replace(done, code=code)


def bar(*, quiet: bool = False) -> Bar:
    """How far the opening is; nothing where something else is written to the terminal meanwhile."""
    return Bar("opening", quiet=quiet)


def days(text: str) -> Range:
    """A range of days, for argparse."""
    if text == "all":
        return ALL
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not _real(first) or not _real(last):
        raise ArgumentTypeError("not a day: write all, 2026-11-22 or 2026-11-01..2026-11-30")
    if first > last:
        raise ArgumentTypeError("the first day comes after the last")
    return first, last


def say(text: str) -> None:
    """What is being done, on standard error."""
    print(f"nocontact: {visible(text)}", file=sys.stderr, flush=True)


def _real(day: str) -> bool:
    """Whether this is a day, written as it is in the archive: fromisoformat takes 20261122 and 2026-W47-7, too."""
    try:
        return date.fromisoformat(day).isoformat() == day
    except ValueError:
        return False


def _together(args: Namespace, archive: Path) -> tuple[str, Callable[[], Opener]]:
    given = passphrases.from_files(args) or _asked()
    _need_two(given)
    by = "the owner and the therapist" if given.therapist is not None else "the owner and the witness"
    return by, lambda: unlock(archive, owner=given.owner, therapist=given.therapist, witness=given.witness)


def _alone(args: Namespace, rules: InForce) -> tuple[str, Callable[[], Opener]]:
    """With the days that a therapist elsewhere released."""
    archive = rules.config.archive
    release = released.kept(rules.state, law(archive).origin, situation.now())
    given = passphrases.from_files(args)
    owner = given.owner if given else passphrases.ask("passphrase of the owner: ")
    return "the owner, with released days", lambda: unlock_released(archive, owner=owner, release=release)


def _asked() -> Passphrases:
    owner = passphrases.ask("passphrase of the owner: ")
    therapist = passphrases.ask_card("words of the therapist's card (leave empty for the witness's): ")
    if therapist:
        return Passphrases(owner, therapist, None)
    return Passphrases(owner, None, passphrases.ask_card("words of the witness's card: "))


def _need_two(given: Passphrases) -> None:
    if given.owner is None or (given.therapist is None and given.witness is None):
        raise CredentialError(
            "the archive opens for two: the owner, and the therapist or the witness; nothing was opened",
            "give the passphrases of both",
        )


def _index_unwritten(problem: OSError) -> None:
    say(
        f"warning: the index could not be written ({unusable(problem).message}); "
        "the next listing opens each record once more"
    )
