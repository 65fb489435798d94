"""A card is seven words on paper: the one secret of a therapist or witness, and of nobody else.

Beside them stands a fingerprint, six words that are no secret: by it two people see that this
card is for this archive's present holder.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from nocontactd.archive.wordlist import WORDS

_BITS = 11
_ENGLISH = {
    "therapist": "the therapist's card",
    "witness": "the witness's card",
    "owner-recovery": "the owner's recovery card",
}


def words(choice: Callable[[int], int], count: int = 7) -> str:
    """So many words with a space between, 11 bits each. `choice(n)`: a random number below n."""
    return " ".join(WORDS[choice(len(WORDS))] for _ in range(count))


def fingerprint(recipient: str, count: int = 6) -> str:
    """Words that stand for a holder's recipient (`age1...`): 66 bits of its SHA-256."""
    number = int.from_bytes(hashlib.sha256(recipient.encode()).digest())
    return " ".join(WORDS[number >> (256 - _BITS * n) & (len(WORDS) - 1)] for n in range(1, count + 1))


def as_typed(text: str) -> str:
    """A card's words however they were typed: capitals, blanks and hyphens between. Anything else as it is."""
    found = text.lower().replace("-", " ").replace(",", " ").split()
    return " ".join(found) if len(found) > 1 and all(word in _KNOWN for word in found) else text


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on it."""

    role: str
    """therapist, witness or owner-recovery."""
    words: str
    recipient: str
    made: str
    """Day (UTC)."""

    @property
    def title(self) -> str:
        return _ENGLISH[self.role]

    @property
    def lines(self) -> tuple[str, ...]:
        """The text below the title, a paragraph each; "" is a gap."""
        numbered = [f"{number}. {word}" for number, word in enumerate(self.words.split(), 1)]
        return (
            *numbered,
            "",
            f"fingerprint: {fingerprint(self.recipient)}",
            f"made on {self.made}",
            "",
            *_ADVICE[self.role],
        )

    def text(self) -> str:
        """As plain text."""
        return "\n".join((self.title.upper(), "", *self.lines)) + "\n"


_KNOWN = frozenset(WORDS)
_KEEP = (
    "Keep this paper where nobody else finds it. Do not photograph it, type it into a telephone or send it.",
    "The order of the words counts. The fingerprint is no secret: it says which key this is.",
)
_ADVICE = {
    "therapist": (
        "With this card and the owner's passphrase the archive opens; with one of them alone it does not.",
        *_KEEP,
    ),
    "witness": (
        "If the therapist cannot come any more, this card and the owner's passphrase open the archive.",
        "This card alone makes a key for another therapist.",
        *_KEEP,
    ),
    "owner-recovery": (
        "If the owner's passphrase is lost, this card gives the owner another one. It opens nothing alone.",
        "It is the owner's: the therapist and the witness must not have it.",
        *_KEEP,
    ),
}
