"""A login's tokens at rest: one sealed file a source, replaced whole, in the hands of one process at a time.

A refresh token that changes with each use can live neither in a read-only systemd credential nor,
for its length, in every keyring: so it lies in the state, and only its key lies elsewhere, where
there is an elsewhere (docs/adr/0013-tokens.md). What cannot be opened is an error, never an empty file.
"""

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from nocontactd import credentials, state
from nocontactd.credentials import Patience
from nocontactd.errors import BusyError, CredentialError, SealError, UnreachableError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FOLDER, SEALED, KEY = "tokens", "sealed", "key"
CREDENTIAL, KEYRING, FILE = "credential", "keyring", "file"
"""Where the key of a sealed file is."""
WAIT = 90.0
"""Seconds until another process has got its token; a request to the provider takes 30 at most."""


class Place(NamedTuple):
    """What kind of place a key is in, and the key."""

    kind: str
    key: str


class Tokens:
    """The tokens of one source, in the state."""

    def __init__(
        self,
        source: str,
        place: Path,
        environment: Mapping[str, str],
        patience: Patience | None = None,
    ) -> None:
        """`place`: the state directory."""
        self._source, self._environment, self._patience = source, environment, patience or Patience()
        self._folder = place / FOLDER / source

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one to read and replace them. UnreachableError: they cannot be had now, or not be written."""
        try:
            state.directory(self._folder.parent)
            with state.lock(self._folder, WAIT):
                yield
        except (BusyError, SealError) as problem:
            raise UnreachableError(f"{self._source}: its token: {problem.message}", problem.hint) from None

    def read(self) -> str:
        """What was written last, "" where nothing was. CredentialError: it cannot be opened."""
        sealed = state.read(self._folder / SEALED)
        if sealed is None:
            return ""
        kind, octets = self._parsed(sealed)
        from cryptography.fernet import InvalidToken

        try:
            return _cipher(self._key(kind)).decrypt(octets).decode()
        except InvalidToken:
            self._lost("its token does not open with its key")

    def write(self, text: str) -> None:
        """Replace them, durably."""
        kind, key = self._place()
        sealed = _cipher(key).encrypt(text.encode()).decode()
        state.write(self._folder / SEALED, json.dumps({"key": kind, "sealed": sealed}) + "\n")

    def _place(self) -> Place:
        """Where the key is to be: in a systemd credential if there is one, else where it is, else the best place."""
        credential = credentials.credential(self._source, self._environment)
        if credential is not None:
            return Place(CREDENTIAL, credential)
        sealed = state.read(self._folder / SEALED)
        with suppress(CredentialError):
            if sealed is not None:
                kind, _ = self._parsed(sealed)
                return Place(kind, self._key(kind))
        return self._new()

    def _new(self) -> Place:
        key = secrets.token_urlsafe(32)
        with suppress(CredentialError):
            found = credentials.kept(self._source, self._environment, self._patience)
            if found is None:
                credentials.store(self._source, key, environment=self._environment, patience=self._patience)
            return Place(KEYRING, found or key)
        state.write(self._folder / KEY, key + "\n")
        return Place(FILE, key)

    def _key(self, kind: str) -> str:
        found = None
        if kind == CREDENTIAL:
            found = credentials.credential(self._source, self._environment)
        elif kind == KEYRING:
            found = credentials.kept(self._source, self._environment, self._patience)
        elif kind == FILE:
            found = (state.read(self._folder / KEY) or "").strip()
        return found or self._lost(f"the key of its token is not there ({kind})")

    def _parsed(self, sealed: str) -> tuple[str, bytes]:
        try:
            said = json.loads(sealed)
            return str(said["key"]), str(said["sealed"]).encode("ascii")
        except (ValueError, LookupError, TypeError):
            self._lost("its token file is damaged")

    def _lost(self, why: str) -> NoReturn:
        raise CredentialError(f"{self._source}: {why}; nothing was looked at", credentials.log_in_again(self._source))


def _cipher(key: str) -> "Fernet":
    """AES-128-CBC with HMAC-SHA-256. The key is random, so a digest makes it fit; a weak one would stay weak."""
    from cryptography.fernet import Fernet

    return Fernet(base64.urlsafe_b64encode(sha256(key.encode()).digest()))
