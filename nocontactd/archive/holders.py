"""A key holder is an age identity, locked with that person's own passphrase. Made and locked here, never opened."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyrage  # type: ignore[import-untyped]  # published without types

from nocontactd.archive.phrase import normal
from nocontactd.errors import CredentialError

ROLES = ("owner", "therapist", "witness")
RECOVERY = "owner-recovery"
"""The owner's identity once more, locked with the recovery card. It is the owner's half, and no more than that."""
Lock = Callable[[bytes, str], bytes]
"""Lock octets with a passphrase: scrypt, about a second, by pyrage's own choice of work."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What of a holder may be known to everybody."""

    role: str
    recipient: str
    """`age1...`."""
    locked: bytes
    """The identity, locked with the passphrase."""
    recovery: bytes = b""
    """The same, locked with the recovery card; the owner's alone, and only where there is such a card."""

    @property
    def files(self) -> dict[str, bytes]:
        """Named files of the archive."""
        return {file_of(self.role): self.locked} | ({file_of(RECOVERY): self.recovery} if self.recovery else {})


def file_of(role: str) -> str:
    """Where in the archive a holder's locked identity lies."""
    return f"holders/{role}.age"


def create(role: str, phrase: str, lock: Lock = pyrage.passphrase.encrypt, recovery: str = "") -> Holder:
    """A new holder with this passphrase, and perhaps a recovery card."""
    identity = pyrage.x25519.Identity.generate()
    locked = [locked_again(role, str(identity), each, lock) for each in (phrase, recovery) if each]
    return Holder(role, str(identity.to_public()), *locked)


def locked_again(role: str, identity: str, phrase: str, lock: Lock = pyrage.passphrase.encrypt) -> bytes:
    """An identity that is there already, locked with another passphrase."""
    public = pyrage.x25519.Identity.from_str(identity).to_public()
    return lock(f"# nocontactd: the {role}'s key\n# public key: {public}\n{identity}\n".encode(), normal(phrase))


def tell_apart(phrases: Iterable[str]) -> None:
    """CredentialError: a passphrase is empty, or two holders have the same."""
    normalised = [normal(phrase) for phrase in phrases]
    if not all(normalised):
        raise CredentialError("a passphrase is empty; no archive was made", "each holder needs one of their own")
    if len(set(normalised)) < len(normalised):
        raise CredentialError(
            "two holders have the same passphrase; no archive was made",
            "one person could then open alone what is to open for two",
        )
