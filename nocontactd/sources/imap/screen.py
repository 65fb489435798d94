"""Which messages of a backlog must be read in full, by their author fields. In doubt, all of them.

People write more than one message: a field that was read once, and named nobody of concern, is
known by its octets when it comes again. That holds as long as whoever stands in one field does so
whatever stands in the others, which is so for fields in plain ASCII; all else is suspect.
"""

import re
from collections.abc import Callable, Sequence

from nocontactd import headers
from nocontactd.model import Author
from nocontactd.services import Catalogue
from nocontactd.sources.imap.look import AUTHOR_FIELDS, HEADER, looks_plain

NO_AUTHORS = ("SUBJECT", "CONTENT-TYPE", "CONTENT-DISPOSITION")
"""Asked for because something odd in a subject hides fields, and for who may have a calendar in it."""
SCREENED = f"(UID BODY.PEEK[HEADER.FIELDS ({' '.join((*AUTHOR_FIELDS, *NO_AUTHORS))})]<0.{HEADER}>)"
_KNOWN = 50_000
"""Fields that are remembered: some megabytes."""
_FIELD = re.compile(rb"\r\n(?![ \t])")
_PASSED_OVER = re.compile(rb"(?:message-id|subject|content-type|content-disposition):", re.IGNORECASE)


class Screen:
    """For one list of entries."""

    def __init__(self, concerns: Callable[[Sequence[Author]], bool], catalogue: Catalogue) -> None:
        self._concerns = concerns
        self._catalogue = catalogue
        self._harmless: set[bytes] = set()

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
        self._harmless.add(field)
        return True
