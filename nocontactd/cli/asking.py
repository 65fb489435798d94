"""What the ceremonies ask people, and what is held in memory of their answers until the ceremony ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from nocontactd.archive.cards import fingerprint
from nocontactd.archive.ceremony import Ceremony
from nocontactd.archive.holders import RECOVERY, Holder, create, locked_again
from nocontactd.archive.strength import advice
from nocontactd.archive.unlock import identity
from nocontactd.cli import cards, passphrases
from nocontactd.errors import NocontactError


def yes(question: str) -> bool:
    """Ask until it is answered. NocontactError: nobody is there any more."""
    while True:
        try:
            answer = input(f"{question} [yes/no] ").strip().lower()
        except (EOFError, UnicodeDecodeError):
            raise NocontactError("the ceremony was ended; nothing more was done") from None
        if answer in ("yes", "no"):
            return answer == "yes"


def owners_passphrase(prompt: str = "passphrase of the owner: ") -> str:
    """A new one, typed twice, with advice."""
    print("Owner: choose a passphrase that only you know and that you will still know in years.")
    print("Five or more words that do not belong together are good; a name or a date is not.")
    while True:
        chosen = passphrases.ask(prompt)
        said = advice(chosen)
        if not chosen:
            print("It cannot be empty.")
        elif said and not _keep(said):
            continue
        elif passphrases.ask("once more: ") == chosen:
            return chosen
        else:
            print("These two were not the same.")


def _keep(said: str) -> bool:
    print(said)
    return yes("Keep it all the same?")


class Told:
    """The secrets of this ceremony, in memory and nowhere else."""

    def __init__(self) -> None:
        self._phrases: dict[str, str] = {}

    def note(self, role: str, phrase: str) -> None:
        self._phrases[role] = phrase

    def identity(self, holder: Holder) -> str:
        """The holder's identity, by what they typed; they are asked where they have not typed it in this start."""
        while True:
            phrase = self._phrases.get(holder.role) or ask_holder(holder.role)
            found = identity([holder.locked], phrase)
            if found:
                self.note(holder.role, phrase)
                return found
            self._phrases.pop(holder.role, None)
            print(
                "That is not it. Once more, or end with Ctrl-C, begin again and answer no where you are asked for it."
            )


def ask_holder(role: str) -> str:
    """Ask a holder for what they have."""
    if role == "owner":
        return passphrases.ask("passphrase of the owner: ")
    return passphrases.ask_card(f"words of the {role}'s card: ")


class Steps:
    """The steps at which a holder is made, each skipped where an earlier start has done it."""

    def __init__(self, ceremony: Ceremony, told: Told, folder: Path | None, now: Callable[[], datetime]) -> None:
        self._ceremony = ceremony
        self._told = told
        self._folder = folder
        self._now = now

    def owner(self) -> Holder:
        """The owner, with a passphrase."""
        known = self._known("owner", "The owner chose a passphrase at an earlier start. Does the owner still know it?")
        if known:
            return known
        phrase = owners_passphrase()
        self._told.note("owner", phrase)
        print("One moment …")
        return self._kept(create("owner", phrase))

    def card(self, role: str) -> Holder:
        """A therapist or witness, with a card."""
        known = self._known(role, f"The {role}'s card was written at an earlier start. Does the {role} have it?")
        if known:
            return known
        holder, words = cards.deal(role, lambda words: create(role, words), self._folder, self._now())
        self._told.note(role, words)
        return self._kept(holder)

    def recovery(self, owner: Holder) -> Holder:
        """The owner, perhaps with a recovery card."""
        if owner.recovery or not yes("Make a recovery card?"):
            return owner
        text = self._told.identity(owner)
        holder, _words = cards.deal(
            RECOVERY,
            lambda words: replace(owner, recovery=locked_again("owner", text, words)),
            self._folder,
            self._now(),
        )
        return self._kept(holder)

    def _known(self, role: str, question: str) -> Holder | None:
        holder = self._ceremony.holder(role)
        if holder is None:
            return None
        print(f"fingerprint: {fingerprint(holder.recipient)}")
        if yes(question):
            return holder
        self._ceremony.forget(role)
        return None

    def _kept(self, holder: Holder) -> Holder:
        self._ceremony.keep(holder)
        return holder
