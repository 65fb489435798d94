"""Senders from whom nobody can be cut off: courts, police, hotlines, legal aid, health services.

Known by a domain that the owner's own provider has authenticated, never by what a message says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nocontactd.address import nearest


@dataclass(frozen=True, slots=True)
class Protected:
    """The shipped list."""

    version: str
    domains: Mapping[str, str]
    """Domain in comparable form to what it is (`court`, `police`, …); its sub-domains are meant too."""

    def covers(self, host: str) -> bool:
        """Whether a domain in comparable form is, or lies under, a protected one."""
        return nearest(self.domains, host) is not None


NOBODY = Protected("", {})
