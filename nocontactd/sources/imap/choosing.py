"""Which folders of a mailbox are looked at, and how they stand: asked of the server once a look."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from nocontactd.errors import SourceError
from nocontactd.sources.imap.answers import Standing
from nocontactd.sources.imap.folders import Choice, Folder, choose, sent, trash, unknown
from nocontactd.sources.imap.removal import goes_through_trash
from nocontactd.sources.imap.session import LostError, RefusedError, Session


@dataclass(frozen=True, slots=True)
class Listed:
    """What the server says of its folders, and to whom: their spelling is known to that session alone."""

    session: Session
    folders: tuple[Folder, ...]
    standing: Mapping[str, Standing]
    foreign: tuple[str, ...]
    unread: bool
    """There is one more, whose row cannot be read."""


class Choosing:
    """For one mailbox; the thread that owns that owns this, too."""

    def __init__(
        self,
        source: str,
        connected: Callable[[], Session],
        doubts: Callable[[str, float], bool],
        wanted: tuple[str, ...] | None,
        never_touch: tuple[str, ...],
        filed: str,
    ) -> None:
        """`doubts`: whether a folder is to be opened whatever is said of it. The others: see Mailbox."""
        self._source, self._connected, self._doubts = source, connected, doubts
        self._wanted, self._never_touch, self._filed = wanted, never_touch, filed
        self._listed: Listed | None = None
        """As `sent` was told just now, for the look that follows."""

    def sent(self) -> tuple[Listed, tuple[str, ...]]:
        """The folders of the owner's own messages. SourceErrors, CredentialError, as all of these."""
        self._listed = listed = self._list()
        return listed, sent(listed.folders, listed.foreign, self._never_touch)

    def looked_at(self) -> tuple[Listed, tuple[Choice, ...]]:
        """The folders to look at."""
        known, self._listed = self._listed, None
        session = self._connected()
        listed = known if known and known.session is session else self._list()
        through_trash = goes_through_trash(session.capabilities)
        wanted, filed = self._wanted, self.filed()
        there = any(folder.name == filed for folder in listed.folders)
        if wanted is not None and there and filed not in self._never_touch:
            wanted = tuple(dict.fromkeys((*wanted, filed)))
        choices = choose(listed.folders, listed.foreign, wanted, self._never_touch, sweep_trash=through_trash)
        return listed, choices + ((Choice("", "what the server lists of it cannot be read"),) if listed.unread else ())

    def placed(self, folder: str) -> str:
        """The name of a folder of the owner's own in full: some servers begin it with a prefix. SourceErrors."""
        try:
            prefix = self._connected().own_prefix()
        except (LostError, RefusedError) as error:
            raise SourceError(f"{self._source}: its folders were not named: {error.message}") from None
        return folder if folder.startswith(prefix) else prefix + folder

    def filed(self) -> str:
        """Where our own rule on the server files to, if there is one."""
        return self.placed(self._filed) if self._filed else ""

    def trash(self, folders: Sequence[Folder], foreign: Sequence[str]) -> str | None:
        """The Trash among these, where there is one that may be used."""
        return trash(folders, foreign, self._never_touch)

    def misspelt(self, folders: Sequence[Folder]) -> tuple[str, ...]:
        """Which of the names that are never to be touched are those of none of these, a sentence each."""
        return unknown(folders, self._never_touch)

    def _list(self) -> Listed:
        """The folders, and how those stand that may be left unopened."""
        try:
            with suppress(LostError):  # it may have died unnoticed
                return self._survey(self._connected())
            return self._survey(self._connected())
        except (LostError, RefusedError) as error:
            raise SourceError(f"{self._source}: its folders were not listed: {error.message}") from None

    def _survey(self, session: Session) -> Listed:
        at = time.monotonic()
        folders, standing = session.survey()
        asked = [f.name for f in folders if f.name not in standing and not self._doubts(f.name, at)]
        standing = {**standing, **session.standings(asked)}
        return Listed(session, folders, standing, session.foreign(), session.unread)
