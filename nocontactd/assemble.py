"""Config to sources, sealer, ledger and policy: the one place that names classes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from nocontactd import decide, number, shipped, whereabouts
from nocontactd.archive.history import ceremony
from nocontactd.archive.seal import Archive
from nocontactd.config import Config, MailSource, PhoneSource
from nocontactd.coverage import Coverage
from nocontactd.credentials import secret
from nocontactd.errors import ConfigError
from nocontactd.ledger import SqliteLedger
from nocontactd.ports import Relay, Source
from nocontactd.reading import Reader

LOG_KEY = "log.key"
LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class Job:
    """One source, and how often to look at it."""

    name: str
    every: float
    """Seconds."""
    source: Source
    relay: Relay | None
    section: MailSource | PhoneSource
    """What it was made of: of an equal section nothing new is made."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a pass needs."""

    jobs: tuple[Job, ...]
    archive: Archive
    ledger: SqliteLedger
    policy: decide.Policy
    coverage: Coverage
    loosening_delay: timedelta
    """Whom the owner has written to is held no longer after this."""
    remarks: tuple[str, ...] = ()
    """What the owner should know of this archive."""


@contextmanager
def assemble(config: Config, state: Path, environ: Mapping[str, str], now: Callable[[], datetime]) -> Iterator[Parts]:
    """The parts for this configuration, the archive locked and recovered; its end lets go of both.

    NoKeysError, DamagedError, BusyError, SealError: as the archive and the ledger raise them.
    """
    whereabouts.look(state, config.archive)
    archive = Archive(config.archive, state / LOG_KEY, now)
    whereabouts.note(state, config.archive)
    with closing(archive), archive.lock():
        archive.recover()
        ledger = SqliteLedger(state / LEDGER)
        try:
            remarks = _remarks(config.archive, ledger)
            parts = Parts((), archive, ledger, policy(config), Coverage(archive.enter), _delay(config), remarks)
            yield reassemble(parts, config, environ, now)
        finally:
            ledger.disconnect()


def reassemble(parts: Parts, config: Config, environ: Mapping[str, str], now: Callable[[], datetime]) -> Parts:
    """The parts for another configuration of the same archive; sources that did not change stay the same objects."""
    known = {job.section: job for job in parts.jobs}
    mailboxes = tuple(known.get(section) or _mailbox(section, environ) for section in config.mail)
    numbers = tuple(
        known.get(section) or _number(section, _since(section, parts.ledger, now()), environ, now)
        for section in _phone(config)
    )
    return replace(parts, jobs=mailboxes + numbers, policy=policy(config), loosening_delay=_delay(config))


def _delay(config: Config) -> timedelta:
    return timedelta(seconds=config.loosening_delay)


def _since(section: PhoneSource, ledger: SqliteLedger, now: datetime) -> datetime:
    """Since when texts are new: since the first start, or since passing them on began, if that was later."""
    return ledger.started(f"{section.name}\nrelay" if section.relay_to else section.name, now)


def sources(config: Config, environ: Mapping[str, str], now: Callable[[], datetime]) -> Iterator[Job]:
    """Each source for a look that changes nothing: without archive and ledger, whether or not a daemon runs."""
    yield from (_mailbox(section, environ) for section in config.mail)
    yield from (_number(section, now(), environ, now) for section in _phone(config))


def policy(config: Config) -> decide.Policy:
    """The rules, and the owner's choices about them."""
    return decide.policy(
        config.entries,
        config.region,
        config.uncertain,
        config.max_per_pass,
        shipped.protected(),
        shipped.services().version,
    )


def reader(section: MailSource) -> Reader:
    """How the messages of one mailbox are read."""
    return Reader((section.authserv_id,) if section.authserv_id else (), shipped.services())


def _phone(config: Config) -> Iterator[PhoneSource]:
    """The numbers, each with the region that it goes by."""
    return (replace(section, region=section.region or config.region) for section in config.phone)


def _mailbox(section: MailSource, environ: Mapping[str, str]) -> Job:
    from nocontactd.sources.imap import Mailbox

    source = Mailbox(
        section.name,
        host=section.host,
        port=section.port,
        user=section.user,
        security=section.security,
        password=lambda: secret(section.name, section.user, section.secret, environment=environ),
        folders=section.folders,
        never_touch=section.never_touch,
        ca_file=section.ca_file,
        token=section.secret.token_command is not None,
        reader=reader(section),
    )
    return Job(section.name, section.every, source, None, section)


def _number(section: PhoneSource, since: datetime, environ: Mapping[str, str], now: Callable[[], datetime]) -> Job:
    from nocontactd.sources.twilio import Number  # costs 30 MB, which a daemon of mailboxes does without

    user = section.api_key or section.account
    source = Number(
        name=section.name,
        account=section.account,
        number=_e164(section, section.number),
        secret=lambda: secret(section.name, user, section.secret, environment=environ),
        relay_since=since,
        now=now,
        api_key=section.api_key,
        relay_to=_e164(section, section.relay_to) if section.relay_to else None,
        api_base=section.api_base,
        reader=Reader(catalogue=shipped.services()),
    )
    return Job(section.name, section.every, source, source if section.relay_to else None, section)


def _e164(section: PhoneSource, written: str) -> str:
    for form in number.keys(written, section.region):
        if number.is_telephone(form):
            return form
    raise ConfigError([f"{section.name}: a number of this source is none in its region"])


def _remarks(archive: Path, ledger: SqliteLedger) -> tuple[str, ...]:
    remarks = []
    with suppress(OSError):
        if ceremony(archive) == "unattended":
            remarks.append("ceremony: unattended (the keys were not rehearsed by people)")
    if ledger.damaged:
        remarks.append("the ledger was damaged and a new one begun: some messages may be sealed twice")
    return tuple(remarks)
