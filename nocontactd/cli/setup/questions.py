"""One answer: from the command line where it is given there, else asked for, else the usual one.

Unattended, nothing is asked: what cannot be left out is a usage error that names its option.
"""

from collections.abc import Callable

from nocontactd.cli import UsageError, passphrases
from nocontactd.errors import CredentialError, NocontactError
from nocontactd.review.visible import visible

Check = Callable[[str], str]
"""A text to what is wrong with it; "" where nothing is."""


class Questions:
    """Asks on the terminal, or, `unattended`, not at all."""

    def __init__(self, *, unattended: bool) -> None:
        self.unattended = unattended

    def line(
        self, option: str, given: str | None, question: str, usual: str | None = None, check: Check | None = None
    ) -> str:
        """One line. UsageError: what the command line gave is wrong, or is missing and cannot be."""
        if given is None and self.unattended:
            given = usual
            if given is None:
                raise UsageError(f"{option} is needed where nothing is to be asked; nothing was set up")
        if given is not None:
            problem = "it is empty" if not given.strip() else check(given) if check else ""
            if problem:
                raise UsageError(f"{option}: {problem}; nothing was set up")
            return given
        while True:
            said = self._typed(f"{question} [{usual}]: " if usual else f"{question}: ") or usual or ""
            problem = "an answer is needed" if not said else check(said) if check else ""
            if not problem:
                return said
            print(visible(f"  {problem}"))

    def lines(self, option: str, given: list[str] | None, question: str, check: Check) -> list[str]:
        """At least one line; an empty one ends them."""
        if given or self.unattended:
            return [self.line(option, each, "", check=check) for each in given or ()] or [self.line(option, None, "")]
        print(question)
        found: list[str] = []
        while said := self._typed("  > "):
            if problem := check(said):
                print(visible(f"  {problem}"))
            else:
                found.append(said)
        return found or self.lines(option, given, question, check)

    def yes(self, question: str) -> bool:
        """Yes or no; unattended, no."""
        if self.unattended:
            return False
        while True:
            said = self._typed(f"{question} [yes/no] ").lower()
            if said in ("yes", "y", "no", "n"):
                return said.startswith("y")

    def unseen(self, option: str, question: str) -> str:
        """A secret, typed and not shown."""
        if self.unattended:
            raise UsageError(f"{option} is needed where nothing is to be asked; nothing was set up")
        try:
            return passphrases.ask(f"{question} (it is not shown): ")
        except CredentialError:
            raise UsageError(
                "there is no terminal to ask for a secret on; nothing was set up", f"give a file: {option} F"
            ) from None

    @staticmethod
    def _typed(question: str) -> str:
        try:
            return input(question).strip()
        except EOFError:
            raise NocontactError(
                "there is nobody to answer; what is done so far stands", "run nocontact setup again on a terminal"
            ) from None
