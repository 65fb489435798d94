"""The nouns. Frozen values only: whoever needs another one makes it, nobody changes one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Disposition(StrEnum):
    """What becomes of a message. There are no others."""

    SEAL = "seal"
    HOLD = "hold"
    PASS = "pass"


class Channel(StrEnum):
    """By which way a message came."""

    MAIL = "mail"
    SMS = "sms"
    MMS = "mms"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    CALL = "call"


class Kind(StrEnum):
    """What one entry under `blocked:` names."""

    ADDRESS = "address"
    DOMAIN = "domain"
    NUMBER = "number"
    NAME = "name"
    HANDLE = "handle"


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Where one message stands at its source.

    Mail: the folder's name as the server spells it (decoded), its UIDVALIDITY and the UID in
    decimal (RFC 9051, 2.3.1.1). A text: folder "", UIDVALIDITY 0 and Twilio's SID.
    """

    source: str
    folder: str
    uidvalidity: int
    uid: str


@dataclass(frozen=True, slots=True)
class Author:
    """One who may have written the message, by one reading of one field."""

    field: str
    """The header field ("From", "Reply-To"), or "from" for a text."""
    address: str
    """As read from the field, not yet in comparable form; "" where only a name stands."""
    name: str = ""
    """The display name, decoded."""
    kind: Kind = Kind.ADDRESS
    """What `address` holds, where a service writes it: NUMBER and HANDLE (`service:handle`) too; NAME: nothing."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """What the provider of the owner's mailbox found out about the sender; nothing that the sender wrote."""

    domains: tuple[str, ...]
    """The author domains (comparable form) that DMARC, or DKIM in alignment, has proven; often none."""
    results: str
    """The Authentication-Results field it stands in, unfolded (RFC 8601)."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that a catalogued service wrote on somebody's behalf, or about the owner's account."""

    service: str
    """Its name in the catalogue."""
    must_pass: bool
    """A password reset, a receipt or the like: whoever is named in it, the owner needs it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who and when, and where it stands. No body: the only thing a decision may see."""

    ref: MessageRef
    channel: Channel
    authors: tuple[Author, ...]
    arrived: datetime
    """INTERNALDATE, or Twilio's date_sent (date_created while that is null); UTC."""
    size: int = 0
    """RFC822.SIZE in octets; 0 where the source does not say."""
    arrival: bool = True
    """Came since the last look. False: found among what is older."""
    relay: bool = False
    """Somebody has asked for everybody else's messages of this source to be passed on, and this one is new."""
    authentication: Authentication | None = None
    """None where the owner's provider said nothing, or is not known by its `authserv_id`."""
    notice: Notice | None = None
    filed: bool = False
    """It stands where our own rule on the server files to, and bears the mark that only this rule sets."""


@dataclass(frozen=True, slots=True)
class Written:
    """A message that the owner sent."""

    addresses: tuple[str, ...]
    """To whom, as read from the fields."""
    at: datetime
    """As its source dates it; UTC."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry under `blocked:`, as it was written there."""

    kind: Kind
    entry: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a message, and why."""

    disposition: Disposition
    reason: str
    rule: str | None = None
    """The entry that matched, as it was written."""
    field: str | None = None
    """The field in which it was found."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an original: a name inside the record, its exact size in octets, and the octets."""

    name: str
    size: int
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Original:
    """The exact octets of one message, and the envelope that was read from these very octets."""

    envelope: Envelope
    parts: Iterator[Part]
    """To be read once, in order; the first is the message itself."""
    facts: tuple[tuple[str, str], ...] = ()
    """What a court asks of the transport: greeting, certificate fingerprint, folder size."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a record is durable: the file, its folder and its leaf are on the disk.

    Only the sealer makes one; the ledger keeps it until its message is gone from the source.
    """

    record: str
    """`DAY/NNNNNN`."""
    ref: MessageRef
    """Where the message still stands."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is known of the passing on of one text."""

    at: datetime
    sid: str | None
    """What it was sent as; None: the outcome is not known."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one folder has been looked through, and by which rules."""

    folder: str
    uidvalidity: int
    next_uid: int
    """Mail: what has this UID or a higher one is new. Texts: POSIX seconds at which the last whole look began."""
    rules: str
    """Digest of the rules by which everything from `lower` on was judged."""
    lower: int = 0
    """What is older than this is still to be looked through by these rules; 0: nothing is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One folder was looked through, or could not be: what a coverage record keeps."""

    folder: str
    uidvalidity: int
    next_uid: int
    exists: int
    problem: str = ""
    """Why it could not, without any value; "" when it was looked through to the end."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """So far one folder was looked through, from its newest message down."""

    envelopes: tuple[Envelope, ...]
    """Those that can come to anything but a pass."""
    lower: int
    """Nothing from this on was left out, as in a Cursor; 0: the folder was looked through to its end."""
    looked: int
    """Messages in it."""
    left: int
    """Messages that are still to be looked through in this folder."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far what is older was looked through; says nothing of what was found."""

    looked: int
    whole: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Step: fetch this message, seal it, then remove it."""

    envelope: Envelope
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Note:
    """Step: leave this message where it is and seal a note of who, when and why."""

    envelope: Envelope
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PutBack:
    """Step: move this message, which our rule on the server filed by mistake, to the inbox as it is."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class TooMany:
    """More older messages are to be taken out than the owner allowed. None of them is."""

    found: int
    limit: int


@dataclass(frozen=True, slots=True)
class Steps:
    """What one pass is to do."""

    seals: tuple[Seal, ...]
    notes: tuple[Note, ...]
    relays: tuple[Envelope, ...]
    put_backs: tuple[PutBack, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of receipts that were handed to a source for removal."""

    gone: tuple[Receipt, ...]
    """The source was asked again and no longer has it."""
    moved: tuple[Receipt, ...] = ()
    """With its new place (a Trash): to be removed from there too."""
    problems: tuple[Exception, ...] = ()
    """Why what is in neither is still there."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass over one source came to."""

    source: str
    looks: tuple[Look, ...]
    matches: int
    """For the sealed coverage record only; never shown and never logged."""
    problems: tuple[Exception, ...]
    more: Progress | None = None
    """Not everything that is older was done, and another pass may go on with it at once."""
