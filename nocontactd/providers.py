"""Which provider an address belongs to, and how one logs in there: a table, looked up by the domain alone.

Nobody is asked over the network: to ask would tell somebody that this address is being set up.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nocontactd import address

LOGINS = ("app password", "password", "microsoft", "bridge")


@dataclass(frozen=True, slots=True)
class Provider:
    """What a mailbox at a provider needs."""

    name: str
    domains: tuple[str, ...]
    host: str
    login: str
    """One of LOGINS."""
    page: str
    """Where the password for a mail program is made, or IMAP is switched on."""
    port: int = 993
    security: str = "tls"
    user: str = "address"
    """address, or local: what is before the @."""
    tenant: str | None = None
    """For a login with Microsoft."""
    authserv_id: str | None = None
    """What opens the provider's own Authentication-Results, where it is one fixed name."""
    confirmed: bool = True

    def login_name(self, mailbox: str) -> str:
        """The name that one logs in with."""
        return mailbox.rpartition("@")[0] if self.user == "local" else mailbox


def find(mailbox: str) -> Provider | None:
    """The provider of an address, by its domain or one above it; None where it is not in the table."""
    labels = address.domain(mailbox.rpartition("@")[2]).split(".")
    above = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return next((_by_domain()[domain] for domain in above if domain in _by_domain()), None)


@cache
def table() -> tuple[Provider, ...]:
    """All of them, in the order of the file."""
    text = files("nocontactd").joinpath("data/providers.toml").read_text(encoding="utf-8")
    return tuple(_provider(entry) for entry in tomllib.loads(text)["provider"])


def _provider(entry: dict[str, Any]) -> Provider:
    facts: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    del facts["source"], facts["checked"]  # for whoever keeps the table
    return Provider(**facts)


@cache
def _by_domain() -> dict[str, Provider]:
    return {domain: provider for provider in table() for domain in provider.domains}
