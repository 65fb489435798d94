"""Which messages of a backlog must be read in full, by their author fields. In doubt, all of them.

People write more than one message: a field that was read once, and named nobody of concern, is
known by its octets when it comes again. That holds as long as whoever stands in one field does so
whatever stands in the others, which is so for fields in plain ASCII; all else is suspect.

`sift` is the short way for what nearly all messages look like, and `suspects` is the rule: what the
one lets by, the other lets by, for the same fields. A return path of its own, as lists give each
message, is let by for its domain alone.
"""

import re
from collections.abc import Iterable

from nocontactd import headers
from nocontactd.ports import Concerns
from nocontactd.reading import may_hold_calendar
from nocontactd.services import Catalogue
from nocontactd.sources.imap.look import AUTHOR_FIELDS, HEADER, looks_plain

NO_AUTHORS = ("SUBJECT", "CONTENT-TYPE", "CONTENT-DISPOSITION")
"""Asked for because something odd in a subject hides fields, and for who may have a calendar in it."""
SCREENED = f"(UID BODY.PEEK[HEADER.FIELDS ({' '.join((*AUTHOR_FIELDS, *NO_AUTHORS))})]<0.{HEADER}>)"
_KNOWN = 50_000
"""Fields that are remembered: some megabytes. And as many domains."""
_FIELD = re.compile(rb"\r\n(?![ \t])")
_PASSED_OVER = re.compile(rb"(?:message-id|subject|content-type|content-disposition):", re.IGNORECASE)

_ATOMS = rb"[A-Za-z0-9_+=-]++(?:\.[A-Za-z0-9_+=-]++)*"
_HOST = rb"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*"
_RETURN_PATH = rb"Return-Path: <(?!(?i:prvs=|srs0))" + _ATOMS + rb"@(" + _HOST + rb")>\r\n"
"""All readers read it alike, and nobody else stands in it (headers.mailboxes.tagged)."""
_OTHERS = rb"(?:(?i:" + _PASSED_OVER.pattern + rb")[\t -~]*+\r\n(?:[\t ][\t -~]*+\r\n)*)*"
_ONE_LINE = rb"(?:((?:Sender|Reply-To|Return-Path): [ -~]*+)\r\n" + _OTHERS + rb")?"
_ORDINARY = re.compile(
    _OTHERS + rb"(?:" + _RETURN_PATH + _OTHERS + rb")?" + _ONE_LINE
    + rb"(From: [ -?A-~]*+@[ -~]*+)\r\n" + _OTHERS + _ONE_LINE + _ONE_LINE + rb"\r\n"
)  # fmt: skip
"""In plain ASCII one From, and what mostly stands beside it; the domain of a return path, and each other field.

Each line has one place where it fits, so that what fits nowhere is known after a single way back.
"""


class Screen:
    """For one list of entries."""

    def __init__(self, concerns: Concerns, catalogue: Catalogue) -> None:
        self._concerns = concerns
        self._catalogue = catalogue
        self._harmless: set[bytes | None] = {None}
        self._spared: set[bytes | None] = {None}

    def sift(self, messages: Iterable[tuple[int, bytes]], suspects: set[int], perhaps: set[int]) -> None:
        """Of UIDs with their fields add those that `suspects` names to the first set.

        And to the second one those of the others that may have a calendar.
        """
        known, spared, ordinary = self._harmless, self._spared, _ORDINARY.fullmatch
        for uid, fields in messages:
            harmless = False
            if len(fields) < HEADER and (found := ordinary(fields)):
                host, before, sender, after, last = found.groups()
                harmless = (
                    sender in known
                    and before in known
                    and after in known
                    and last in known
                    and (host in spared or self._spares(host))
                )
            if not harmless and self.suspects(fields):
                suspects.add(uid)
            elif may_hold_calendar(fields):
                perhaps.add(uid)

    def suspects(self, fields: bytes) -> bool:
        """Whether these fields may name somebody of concern, or a service that writes for somebody."""
        if len(fields) >= HEADER or not looks_plain(fields):
            return True
        known = self._harmless
        for field in _FIELD.split(fields):
            if field not in known and not _PASSED_OVER.match(field) and not self._is_harmless(field):
                return True
        return False

    def _is_harmless(self, field: bytes) -> bool:
        if field.startswith(b"<"):  # to some it goes on with the field above (headers/fields.py)
            return False
        authors = headers.authors(field + b"\r\n\r\n")
        if self._concerns(authors) or self._catalogue.sender(authors):
            return False
        if len(self._harmless) >= _KNOWN:
            self._harmless.clear()
            self._harmless.add(None)
        self._harmless.add(field)
        return True

    def _spares(self, host: bytes) -> bool:
        if not self._concerns.spares(host.decode("ascii")):
            return False
        if len(self._spared) >= _KNOWN:
            self._spared.clear()
            self._spared.add(None)
        self._spared.add(host)
        return True
