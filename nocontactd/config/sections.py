"""What a configuration comes to. Each part of the program is handed its own section, never the whole."""

from dataclasses import dataclass
from pathlib import Path

from nocontactd.model import Disposition, Rule

MICROSOFT = "https://login.microsoftonline.com"


@dataclass(frozen=True, slots=True)
class Person:
    """One person under `blocked:`."""

    label: str
    """The owner's own; "" where there is none; never logged."""
    entries: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Microsoft:
    """A login with Microsoft by the device flow, with the owner's own registration."""

    client_id: str
    tenant: str = "common"
    authority: str = MICROSOFT

    @property
    def elsewhere(self) -> bool:
        """Whether the identity provider is not Microsoft's own, but a stand-in."""
        return self.authority != MICROSOFT


@dataclass(frozen=True, slots=True)
class Secret:
    """Where the secret of a source is to be had, beside systemd credentials and keyring."""

    file: Path | None = None
    command: str | None = None
    token_command: str | None = None
    microsoft: Microsoft | None = None

    @property
    def token(self) -> bool:
        """Whether the secret is an OAuth access token."""
        return self.token_command is not None or self.microsoft is not None


@dataclass(frozen=True, slots=True)
class Sieve:
    """The owner's scripts on the mail server, where the block list is kept as a rule."""

    host: str
    port: int = 4190
    """RFC 5804, 1.8."""
    security: str = "starttls"
    """tls, starttls, or none (to loopback only)."""
    folder: str = "nocontact"
    """Where the rule files to."""


@dataclass(frozen=True, slots=True)
class MailSource:
    """One mailbox."""

    name: str
    host: str
    user: str
    port: int
    security: str
    """tls, starttls, or none (to loopback only)."""
    folders: tuple[str, ...] | None
    """None: all of them, but Sent and Drafts."""
    never_touch: tuple[str, ...]
    every: float
    """Seconds between looks."""
    ca_file: Path | None
    authserv_id: str | None
    secret: Secret
    sieve: Sieve | None = None
    """None: no rule of ours is kept on the server."""


@dataclass(frozen=True, slots=True)
class PhoneSource:
    """One Twilio number."""

    name: str
    account: str
    number: str
    """As written; E.164 is made of it with `region`."""
    every: float
    relay_to: str | None
    api_key: str | None
    region: str | None
    api_base: str | None
    secret: Secret


@dataclass(frozen=True, slots=True)
class Tsa:
    """The authority that time-stamps the log's checkpoint each day."""

    url: str
    ca_file: Path | None
    """Whose time-stamps are believed; None: those that this system trusts."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole accepted configuration."""

    people: tuple[Person, ...]
    mail: tuple[MailSource, ...]
    phone: tuple[PhoneSource, ...]
    archive: Path
    state: Path | None
    """As the file says; None where it says nothing."""
    loosening_delay: float
    """Seconds."""
    uncertain: Disposition
    """PASS or SEAL."""
    region: str | None
    max_per_pass: int
    tsa: Tsa | None = None
    dkim: str = "providers"
    """Whose keys are asked for in the DNS: providers, all or none."""

    @property
    def entries(self) -> tuple[Rule, ...]:
        """Every entry of every person, in the order of the file."""
        return tuple(entry for person in self.people for entry in person.entries)
