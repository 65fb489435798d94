"""Another therapist or witness, or another passphrase of the owner's: the locks change, and no record is touched.

Whoever opens the outer layers takes them off and puts others on; the owner's inner layer is never
opened, and the owner need not be there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive import trusted
from nocontactd.archive.change import changing
from nocontactd.archive.charter import Charter
from nocontactd.archive.durable import Disk
from nocontactd.archive.holders import Holder, file_of
from nocontactd.archive.keys import wrap
from nocontactd.archive.log import Leaf
from nocontactd.archive.unlock import locked_keys, peeled


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of it."""

    shut: tuple[str, ...]
    """Day keys (KEY) that could not be opened, and so were left as they were."""


def replace(
    archive: Path,
    log_key: Path,
    holder: Holder,
    by: str,
    now: Callable[[], datetime],
    disk: Disk | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Replaced:
    """Put a new therapist or witness in the place of the old one.

    `by`: the age identity of a therapist or witness whom the archive still knows. SealError: nothing was changed.
    """
    opened = {locked: None for _name, locked in locked_keys(archive)}
    inner = _opened(tuple(opened), by, progress)
    with changing(archive, log_key, now, disk) as change:
        law = change.law.held_by(holder.role, holder.recipient)
        leaves = dict(change.leaves.day_keys())
        there = _logged(archive, leaves)
        inner |= _opened([locked for locked in there.values() if locked not in inner], by)  # made since
        keys = {name: _wrapped(inner[locked], law) for name, locked in there.items() if inner[locked]}
        trusted.trust(log_key, law, disk or Disk(), now())
        change.commit(holder.files, keys, law)
    return Replaced(tuple(sorted(leaves.keys() - keys.keys())))


def relock_owner(
    archive: Path, log_key: Path, role: str, locked: bytes, now: Callable[[], datetime], disk: Disk | None = None
) -> None:
    """Put the owner's identity, locked anew, in the place of the one that is there. `role`: owner or its recovery."""
    with changing(archive, log_key, now, disk) as change:
        change.commit({file_of(role): locked}, {})


def _opened(
    locked: Sequence[bytes], by: str, progress: Callable[[int, int], None] = lambda _d, _a: None
) -> dict[bytes, bytes | None]:
    """What lies under the outer layer of each; None: this identity does not open it."""
    identity = pyrage.x25519.Identity.from_str(by)
    found: dict[bytes, bytes | None] = {}
    for number, each in enumerate(locked, 1):
        found[each] = peeled(each, [identity])
        progress(number, len(locked))
    return found


def _logged(archive: Path, leaves: Mapping[str, Leaf]) -> dict[str, bytes]:
    """Of each key the copy that is what the log says: another one may be sealed to a stranger."""
    copies = ((name, locked) for name, locked in locked_keys(archive) if name in leaves)
    return {name: locked for name, locked in copies if sha256(locked).hexdigest() == leaves[name].first}


def _wrapped(inner: bytes | None, law: Charter) -> bytes:
    return wrap(inner or b"", law.others)
