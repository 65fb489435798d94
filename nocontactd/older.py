"""What is older is looked through, from the newest message down. Nothing of it is touched here.

Each stretch is written down together with what is to be taken out of it, so that a death costs no
more than the stretch that was under way. It ends early when its time is up, for what is new comes
first, and when more was found than may be taken out, for then none of it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nocontactd.decide import Policy, guard, plan
from nocontactd.errors import SourceError, UnreachableError
from nocontactd.model import Cursor, Look, Note, Progress
from nocontactd.ports import Ledger, Source

MOST = 200_000
"""Messages that are looked through in one go, whatever the clock says."""


@dataclass(frozen=True, slots=True)
class Older:
    """How far it was looked through."""

    progress: Progress
    """Over the folders that can be looked through."""
    problems: tuple[Exception, ...] = ()
    """Of those that cannot."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left that could be looked through."""
        return self.progress.looked == self.progress.whole


def look_further(
    source: Source,
    ledger: Ledger,
    policy: Policy,
    looks: Iterable[Look],
    note: Callable[[Sequence[Note]], None],
    over: Callable[[], bool],
) -> Older:
    """Go on where the last pass ended, in the folders that were looked at just now.

    `note` seals what is held and stays; `over`: whether it is time for what is new. SealError of
    both and of the ledger; UnreachableError, CredentialError: the source cannot be asked any more.
    """
    cursors = ledger.cursors(source.name)
    count = _Count(len(ledger.found(source.name)))
    problems: list[SourceError] = []
    for look in looks:
        if look.problem or look.folder not in cursors:
            continue
        cursor = cursors[look.folder]
        left = max(look.exists, 1) if cursor.lower else 0
        count.whole += max(look.exists, left)
        try:
            if left and not over() and not count.enough(policy):
                left = _in_folder(source, ledger, policy, cursor, note, over, count)
        except UnreachableError:
            raise
        except SourceError as problem:
            problems.append(problem)
            left = 0
        count.left += left
    return Older(Progress(count.whole - count.left, count.whole), tuple(problems))


@dataclass(slots=True)
class _Count:
    """What was counted so far."""

    found: int
    looked: int = 0
    whole: int = 0
    left: int = 0

    def enough(self, policy: Policy) -> bool:
        return self.looked >= MOST or guard(self.found, policy) is not None


def _in_folder(
    source: Source,
    ledger: Ledger,
    policy: Policy,
    cursor: Cursor,
    note: Callable[[Sequence[Note]], None],
    over: Callable[[], bool],
    count: _Count,
) -> int:
    """One folder, a stretch at a time; how many of its messages are left."""
    taken = frozenset(receipt.ref for receipt in ledger.open(source.name))
    left = 0
    for stretch in source.older(cursor, policy.concerns):
        steps = plan(stretch.envelopes, policy, taken)
        note(steps.notes)
        cursor, left = replace(cursor, lower=stretch.lower), stretch.left
        ledger.advance(source.name, [cursor], [step.envelope.ref for step in steps.seals])
        count.found += len(steps.seals)
        count.looked += stretch.looked
        if over() or count.enough(policy):
            break
    return max(left, 1) if cursor.lower else 0
