"""Config to sources, sealer, ledger and policy: the one place that names classes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nocontactd import decide, number, shipped, whereabouts
from nocontactd.archive.anchors import Anchors
from nocontactd.archive.seal import Archive
from nocontactd.config import Config, MailSource, Microsoft, PhoneSource, Sieve
from nocontactd.coverage import Coverage
from nocontactd.credentials import log_in_again, secret
from nocontactd.errors import ConfigError
from nocontactd.examiner import DkimExaminer
from nocontactd.kept_rule import KeptRule
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Envelope, Rule
from nocontactd.ports import Listener, Relay, Source
from nocontactd.reading import Reader
from nocontactd.sieve import FOLDER
from nocontactd.state import default_places
from nocontactd.tokens import Tokens

if TYPE_CHECKING:
    from nocontactd.sources.imap import Mailbox
    from nocontactd.sources.managesieve import SieveServer
    from nocontactd.sources.microsoft import Account
    from nocontactd.sources.twilio import Number

LOG_KEY = "log.key"
LEDGER = "ledger.sqlite"
PUT_BACK = (
    "the archive is not the one that was sealed to last: an older copy of it, or an altered one, was put in its place; "
    "what was sealed in between is not in it"
)
ADDED = (
    "there are records in the archive that this machine did not seal: somebody put them there, another machine sealed "
    "to it, or an older copy of the state was put in its place"
)


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
    listener: Callable[[Callable[[], None], Callable[[Envelope], bool]], Listener] | None = None
    """Makes one that calls back whenever something may have come; None where only the timer looks.

    It is told how to know what is to be sealed, so that it can have that at hand.
    """
    rule: KeptRule | None = None
    """The block list as a rule on the server, where one is kept."""
    inbox: Source | None = None
    """Where a message is in sight, by itself: what is looked at first after a sign."""


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
    entries: tuple[Rule, ...] = ()
    """As they stand in the configuration."""
    state: Path = Path()
    """Where tokens are kept."""
    examiner: DkimExaminer | None = None
    """Of the signatures of mail: another configuration may say whose are looked at."""
    anchors: Anchors | None = None
    """Whom to ask for a time-stamp each day."""


@contextmanager
def assemble(config: Config, state: Path, environ: Mapping[str, str], now: Callable[[], datetime]) -> Iterator[Parts]:
    """The parts for this configuration, the archive locked and recovered; its end lets go of both.

    NoKeysError, DamagedError, BusyError, SealError: as the archive and the ledger raise them.
    """
    whereabouts.look(state, config.archive)
    examiner = DkimExaminer(config.dkim)
    archive = Archive(config.archive, state / LOG_KEY, now, examiner=examiner)
    whereabouts.note(state, config.archive)
    with closing(archive), archive.lock():
        archive.recover()
        ledger = SqliteLedger(state / LEDGER)
        try:
            remarks = _remarks(archive, ledger)
            parts = Parts(
                *((), archive, ledger, policy(config), Coverage(archive.enter), _delay(config), remarks),
                entries=config.entries,
                state=state,
                examiner=examiner,
            )
            yield reassemble(parts, config, environ, now)
        finally:
            ledger.disconnect()


def reassemble(parts: Parts, config: Config, environ: Mapping[str, str], now: Callable[[], datetime]) -> Parts:
    """The parts for another configuration of the same archive; sources that did not change stay the same objects."""
    known = {job.section: job for job in parts.jobs}
    mailboxes = tuple(known.get(section) or _mailbox(section, parts.state, environ) for section in config.mail)
    numbers = tuple(
        known.get(section) or _number(section, _since(section, parts.ledger, now()), environ, now)
        for section in _phone(config)
    )
    anchors = Anchors(config.archive, config.tsa.url, config.tsa.ca_file) if config.tsa else None
    if parts.examiner:
        parts.examiner.whose = config.dkim
    return replace(
        parts,
        jobs=mailboxes + numbers,
        policy=policy(config),
        entries=config.entries,
        loosening_delay=_delay(config),
        anchors=anchors,
    )


def confine(config: Config, state: Path, config_file: Path, environ: Mapping[str, str]) -> str | None:
    """Have the kernel keep this process from reading what it has sealed; why it cannot be, in words.

    To be called after recovery and before any thread is started.
    """
    from nocontactd.archive import landlock

    try:
        why = landlock.hindrance(config.archive, replaceable(config, state, config_file, environ))
        if not why:
            landlock.shut(config.archive)
    except OSError as problem:
        return f"the kernel refused: {problem.strerror}"
    return why


def replaceable(config: Config, state: Path, config_file: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """What the daemon reads and others, or it itself, put another file in the place of."""
    mail = [file for section in config.mail for file in (section.secret.file, section.ca_file)]
    phone = [section.secret.file for section in config.phone]
    stamps = [config.tsa.ca_file] if config.tsa else []
    return (state, config_file, *default_places(environ), *filter(None, mail + phone + stamps))


def _delay(config: Config) -> timedelta:
    return timedelta(seconds=config.loosening_delay)


def _since(section: PhoneSource, ledger: SqliteLedger, now: datetime) -> datetime:
    """Since when texts are new: since the first start, or since passing them on began, if that was later."""
    return ledger.started(f"{section.name}\nrelay" if section.relay_to else section.name, now)


def sources(config: Config, state: Path, environ: Mapping[str, str], now: Callable[[], datetime]) -> Iterator[Job]:
    """Each source for a look that changes nothing: without archive and ledger, whether or not a daemon runs."""
    yield from (_mailbox(section, state, environ) for section in config.mail)
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


def _mailbox(section: MailSource, state: Path, environ: Mapping[str, str]) -> Job:
    from nocontactd.sources.imap import Inbox

    source = mailbox(section, *_login(section, state, environ))
    rule = _rule(section, source, state, environ)
    inbox = Inbox(source)
    return Job(section.name, section.every, source, None, section, inbox.listener, rule, inbox)


def mailbox(section: MailSource, password: Callable[[], str], renewed: Callable[[], str] | None = None) -> "Mailbox":
    """A mailbox with this secret."""
    from nocontactd.sources.imap import Mailbox

    return Mailbox(
        section.name,
        host=section.host,
        port=section.port,
        user=section.user,
        security=section.security,
        password=password,
        folders=section.folders,
        never_touch=section.never_touch,
        ca_file=section.ca_file,
        token=section.secret.token,
        renewed=renewed,
        reader=reader(section),
        filed=section.sieve.folder if section.sieve else FOLDER,
    )


def _login(
    section: MailSource, state: Path, environ: Mapping[str, str]
) -> tuple[Callable[[], str], Callable[[], str] | None]:
    """What gives the secret of a mailbox, and what gives another one where a token was refused."""
    if section.secret.microsoft is None:
        return lambda: secret(section.name, section.user, section.secret, environment=environ), None
    login = account(section, section.secret.microsoft, state, environ)
    return login.token, login.renewed


def account(section: MailSource, microsoft: Microsoft, state: Path, environ: Mapping[str, str]) -> "Account":
    """The login of a mailbox with Microsoft, its tokens in this state."""
    from nocontactd.sources.microsoft import Account, Registration

    registration = Registration(
        section.name,
        microsoft.client_id,
        microsoft.tenant,
        microsoft.authority,
        log_in_again(section.name),
        section.ca_file if microsoft.elsewhere else None,
    )
    return Account(registration, Tokens(section.name, state, environ))


def _rule(section: MailSource, source: "Mailbox", state: Path, environ: Mapping[str, str]) -> KeptRule | None:
    if (kept := section.sieve) is None:
        return None
    from nocontactd.sources.managesieve import scripts

    server, password = sieve_server(section, state, environ)
    folder: Callable[[], str] = lambda: source.placed(kept.folder)  # noqa: E731  # one line for one thought
    return KeptRule(section.name, folder, lambda: scripts(server, password), time.monotonic)


def rule_folder(section: MailSource, folder: str, state: Path, environ: Mapping[str, str]) -> str:
    """The folder that a rule files to, as the server of this mailbox names it in full. SourceError, CredentialError."""
    with closing(mailbox(section, *_login(section, state, environ))) as source:
        return source.placed(folder)


def sieve_server(
    section: MailSource, state: Path, environ: Mapping[str, str]
) -> tuple["SieveServer", Callable[[], str]]:
    """Where a mailbox's scripts are, and the secret to get at them."""
    from nocontactd.sources.managesieve import SieveServer

    there = section.sieve or Sieve(section.host, security="none" if section.security == "none" else "starttls")
    server = SieveServer(
        section.name,
        there.host,
        there.port,
        section.user,
        there.security,
        section.ca_file,
        token=section.secret.token,
    )
    return server, _login(section, state, environ)[0]


def _number(section: PhoneSource, since: datetime, environ: Mapping[str, str], now: Callable[[], datetime]) -> Job:
    user = section.api_key or section.account
    source = number_at_twilio(
        section, since, lambda: secret(section.name, user, section.secret, environment=environ), now
    )
    return Job(section.name, section.every, source, source if section.relay_to else None, section)


def number_at_twilio(
    section: PhoneSource, since: datetime, password: Callable[[], str], now: Callable[[], datetime]
) -> "Number":
    """A number with this secret."""
    from nocontactd.sources.twilio import Number  # costs 30 MB, which a daemon of mailboxes does without

    return Number(
        name=section.name,
        account=section.account,
        number=_e164(section, section.number),
        secret=password,
        relay_since=since,
        now=now,
        api_key=section.api_key,
        relay_to=_e164(section, section.relay_to) if section.relay_to else None,
        api_base=section.api_base,
        reader=Reader(catalogue=shipped.services()),
    )


def _e164(section: PhoneSource, written: str) -> str:
    for form in number.keys(written, section.region):
        if number.is_telephone(form):
            return form
    raise ConfigError([f"{section.name}: a number of this source is none in its region"])


def _remarks(archive: Archive, ledger: SqliteLedger) -> tuple[str, ...]:
    remarks = []
    if archive.put_back:
        remarks.append(f"{PUT_BACK} (noticed on {archive.put_back})")
    if archive.added:
        remarks.append(f"{ADDED} (noticed on {archive.added})")
    if ledger.damaged:
        remarks.append("the ledger was damaged and a new one begun: some messages may be sealed twice")
    return tuple(remarks)
