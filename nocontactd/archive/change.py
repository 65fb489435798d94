"""A change of key holders is one: before its first leaf nothing has happened, behind it everything goes on to the end.

Whatever it needs stands in incoming/, durable, before that leaf (archive.json's, `holders:replaced`).
Whoever finds it there, this process or a recovery, logs the rest and puts it in place: `finish`.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nocontactd.archive import charter, history, pinned
from nocontactd.archive.charter import Charter
from nocontactd.archive.copies import Copies
from nocontactd.archive.daykeys import DRAFTS, DayKeys
from nocontactd.archive.durable import Disk, flush_folder, sealing
from nocontactd.archive.leaves import Leaves
from nocontactd.archive.log import ORPHAN, Leaf
from nocontactd.archive.logkey import LogKey
from nocontactd.archive.many import write_all

REHEARSED = "ceremony:attended"


class Change:
    """The right to change who holds keys. `changing` gives it."""

    def __init__(self, archive: Path, disk: Disk, leaves: Leaves, law: Charter, moment: datetime) -> None:
        self.leaves = leaves
        self.law = law
        self.moment = moment
        self._archive = archive
        self._disk = disk

    def commit(self, files: Mapping[str, bytes], keys: Mapping[str, bytes], law: Charter | None = None) -> None:
        """Put other named files, day keys' outer layers and perhaps another law in force. OSError.

        With another law everything counts from its leaf on; without, there must be one file alone.
        """
        incoming = self._archive / "incoming"
        named = ({charter.NAME: law.dump()} if law else {}) | dict(files)
        drafts = {incoming / Path(name).name: data for name, data in named.items()}
        drafts |= {incoming / (name + suffix): data for name, data in keys.items() for suffix in DRAFTS}
        self._forget_drafts()
        flush_folder(self._disk, incoming)  # or a power cut could bring an older law's draft back beside these
        write_all(self._disk, drafts, self.moment)
        flush_folder(self._disk, incoming)
        name, data = next(iter(named.items()))
        self.leaves.append([Leaf(name, _sha256(data), pinned.REPLACED if law else ORPHAN)], self.moment)
        self.finish()
        self.law = law or self.law

    def rehearsed(self) -> None:
        """Enter in the log that people have tried it. OSError."""
        pinned_law = self.leaves.last(charter.NAME)
        if pinned_law:
            self.leaves.append([Leaf(charter.NAME, pinned_law.first, REHEARSED)], self.moment)

    def finish(self) -> None:
        """Bring a change that has begun to its end. OSError."""
        pinned.mend(self._archive, self.leaves, self._disk, self.moment)
        DayKeys(self._archive, self._disk).take_up(self.leaves)
        self._forget_drafts()

    def _forget_drafts(self) -> None:
        """What is in place, or never came to be. The law's goes last: while it is there, the others count."""
        incoming = self._archive / "incoming"
        drafts = [path for path in incoming.iterdir() if _DRAFT.fullmatch(path.name)]
        for path in sorted(drafts, key=lambda path: path.name == charter.NAME):
            self._disk.remove(path)
        if drafts:
            flush_folder(self._disk, incoming)


@contextmanager
def changing(
    archive: Path,
    log_key: Path,
    now: Callable[[], datetime],
    disk: Disk | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[Change]:
    """The turn, with whatever an earlier change left undone finished; at the end the log's copies are up. SealError."""
    disk, moment = disk or Disk(), now().astimezone(UTC)
    leaves = Leaves(archive, disk, partial(history.signed, archive))
    try:
        with sealing(archive), leaves.turn():
            change = Change(archive, disk, leaves, pinned.law(archive, leaves), moment)
            change.finish()
            signer = LogKey(log_key, disk, entropy).signer(change.law.origin, moment)
            if signer.verifier not in change.law.log_keys:
                change.law = change.law.signed_by(signer.verifier)
                pinned.amend(archive, leaves, change.law, "log-key:new", disk, moment)
            yield change
            Copies(archive, disk).settle(leaves, signer, change.law.origin, moment)
    finally:
        leaves.close()


_DRAFT = re.compile(r"archive\.json|[a-z][a-z-]*\.age|\d{4}-\d\d-\d\d(\.\d+)?\.key\.age(\.new)?")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
