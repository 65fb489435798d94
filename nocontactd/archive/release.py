"""What goes to a therapist elsewhere and comes back: locked days out; the same days back, one lock less.

Neither is a secret: what comes back is still sealed to the owner, and who reads either on the way
opens nothing. Both are one JSON object in ASCII, so that any channel carries them.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nocontactd.archive.log import KEY
from nocontactd.errors import CredentialError, DamagedError

REQUEST = "nocontactd-request/1"
RELEASE = "nocontactd-release/1"
ACCEPTED = "nocontactd-accepted/1"
LASTS = timedelta(hours=24)
"""How long released days can be opened, from when they were accepted."""
MOST = 8 * 1024 * 1024
"""Octets of either: thirty years of days."""

Keys = tuple[tuple[str, bytes], ...]
"""KEY (docs/ARCHIVE-FORMAT.md) and an age file."""


@dataclass(frozen=True, slots=True)
class Request:
    """Days that the owner asks for."""

    origin: str
    """The archive's own name."""
    role: str
    """Who is asked: therapist or witness."""
    holder: bytes
    """Their identity, locked with their passphrase; b"" where they took it away."""
    keys: Keys
    """Day keys as they lie in the archive."""

    @property
    def days(self) -> tuple[str, ...]:
        """In order."""
        return _days(self.keys)

    @property
    def name(self) -> str:
        """By which the answer says what it answers."""
        return hashlib.sha256(self.dump()).hexdigest()

    def dump(self) -> bytes:
        fields = {"origin": self.origin, "role": self.role, "holder": _text(self.holder), "keys": _dumped(self.keys)}
        return _json({"format": REQUEST} | fields)


@dataclass(frozen=True, slots=True)
class Release:
    """Days of which one layer is off; the owner's is left."""

    origin: str
    request: str
    """The name of the request."""
    keys: Keys

    @property
    def days(self) -> tuple[str, ...]:
        """In order."""
        return _days(self.keys)

    def dump(self) -> bytes:
        return _json({"format": RELEASE, "origin": self.origin, "request": self.request, "keys": _dumped(self.keys)})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A release as the owner's machine keeps it."""

    release: Release
    until: datetime

    def dump(self) -> str:
        fields = {"until": self.until.astimezone(UTC).isoformat(), "release": self.release.dump().decode()}
        return _json({"format": ACCEPTED} | fields).decode()

    def usable(self, origin: str, now: datetime) -> Release:
        """CredentialError: its time is over, or it is of another archive."""
        if not self.until - LASTS <= now < self.until:
            raise CredentialError(
                "the time of the released days is over; nothing was opened",
                "ask for them anew: `nocontact keys request`",
            )
        return of_archive(self.release, origin)


def of_archive(release: Release, origin: str) -> Release:
    """CredentialError: it is another archive's."""
    if release.origin != origin:
        raise CredentialError("these days were released for another archive; nothing was opened")
    return release


def parse_request(data: bytes) -> Request:
    """DamagedError: it is none."""
    try:
        fields = _read(data, REQUEST)
        return Request(str(fields["origin"]), _role(fields["role"]), _octets(fields["holder"]), _keys(fields["keys"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DamagedError(
            "this is not a request for days, or it was altered on its way; nothing was released",
            "let the file be sent once more, whole, as an attachment",
        ) from None


def parse_release(data: bytes) -> Release:
    """DamagedError: it is none."""
    try:
        fields = _read(data, RELEASE)
        return Release(str(fields["origin"]), str(fields["request"]), _keys(fields["keys"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DamagedError(
            "this is not a release of days, or it was altered on its way; nothing was accepted",
            "let the file be sent once more, whole, as an attachment",
        ) from None


def parse_accepted(text: str) -> Accepted:
    """DamagedError: it is none."""
    try:
        fields = _read(text.encode(), ACCEPTED)
        return Accepted(parse_release(fields["release"].encode()), datetime.fromisoformat(fields["until"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DamagedError(
            "the released days that this machine keeps are damaged; nothing was opened", "ask for them anew"
        ) from None


def _read(data: bytes, form: str) -> dict[str, Any]:
    if len(data) > MOST:
        raise ValueError("too large")
    fields: dict[str, Any] = json.loads(data)
    if fields["format"] != form:
        raise ValueError("another format")
    return fields


def _role(text: Any) -> str:
    if text not in ("therapist", "witness"):
        raise ValueError("no such holder")
    return str(text)


def _keys(fields: dict[str, str]) -> Keys:
    keys = tuple((name, _octets(text)) for name, text in sorted(fields.items()))
    if not keys or not all(KEY.fullmatch(f"key/{name}") for name, _octets in keys):
        raise ValueError("not the names of keys")
    return keys


def _dumped(keys: Keys) -> dict[str, str]:
    return {name: _text(octets) for name, octets in keys}


def _days(keys: Keys) -> tuple[str, ...]:
    return tuple(sorted({name[:10] for name, _octets in keys}))


def _octets(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, indent=0).encode() + b"\n"
