"""The rehearsal as people see it: a sealed test record, who tries it, and what came of that."""

import sys
from collections.abc import Mapping
from pathlib import Path

from nocontactd.archive.history import listed
from nocontactd.archive.rehearsal import FACT, rehearse
from nocontactd.archive.seal import Archive
from nocontactd.cli import situation
from nocontactd.errors import DamagedError

_TRY = {
    True: "They bring both halves of the lock, so it must open.",
    False: "One half of the lock is missing, so it must stay shut.",
}


def seal_test_record(archive: Path, log_key: Path) -> str:
    """The day on which it was sealed, as anything else is."""
    enter(archive, log_key, FACT)
    return max(folder.name for folder in listed(archive / "mail"))


def enter(archive: Path, log_key: Path, *facts: tuple[str, str]) -> None:
    """Seal a record of what was done with the keys. SealError, DamagedError."""
    sealer = Archive(archive, log_key, situation.now)
    try:
        sealer.enter("keys", facts)
    finally:
        sealer.close()


def try_out(archive: Path, day: str, holders: Mapping[str, str], *, explain: bool) -> None:
    """Show who opens the test record of that day, by these identities. DamagedError: it is not as it must be."""
    print("rehearsal: a test record was sealed, as a message is", file=sys.stderr)
    for attempt in rehearse(archive, day, holders):
        who = in_words(attempt.who)
        if explain:
            print(f"\nNow {who}. {_TRY['owner' in attempt.who and len(attempt.who) > 1]}")
        if not attempt.right:
            outcome = "opened for" if attempt.opened else "did not open for"
            raise DamagedError(
                f"the rehearsal failed: the test record {outcome} {who}; do not use this archive",
                "keep it as it is, and report this: it must never happen",
            )
        print(
            f"rehearsal: {_outcome(attempt.opened)} {who}{'' if attempt.opened else ', as it must be'}", file=sys.stderr
        )


def in_words(who: tuple[str, ...]) -> str:
    """`the owner and the witness`, `the owner alone`."""
    return " and ".join(f"the {role}" for role in who) if len(who) > 1 else f"the {who[0]} alone"


def _outcome(opened: bool) -> str:
    return "opened by" if opened else "refused to"
