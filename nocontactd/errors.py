"""What can go wrong, by what the owner can do about it. Expected outcomes are values, not errors.

A message names the source and says what was *not* done. It never holds an address, a number,
a name, a subject, a body or a count of messages: it goes to the journal.
"""

from collections.abc import Iterable


class NocontactError(Exception):
    """Something the owner can act on; `hint` says how."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(NocontactError):
    """The configuration cannot be used; each problem is `FILE:LINE:COL: text`."""

    exit_code = 78

    def __init__(self, problems: Iterable[str], hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), hint)


class NoKeysError(NocontactError):
    """There are no key holders yet, so nothing can be sealed."""

    exit_code = 78


class CredentialError(NocontactError):
    """A secret is missing or was refused."""

    exit_code = 77


class SealError(NocontactError):
    """The archive cannot be written; nothing was removed from any source."""

    exit_code = 73


class UnsoundError(SealError):
    """The archive is damaged, so that nothing can be sealed to it."""

    exit_code = 65


class SourceError(NocontactError):
    """A source did not do what it was asked; nothing is lost and the next pass tries again."""

    exit_code = 75


class UnreachableError(SourceError):
    """The source cannot be reached at all just now: nothing more is asked of it in this pass."""


class UnknownOutcomeError(SourceError):
    """A request may or may not have taken effect."""


class BusyError(NocontactError):
    """Another process is at work on the same state or archive."""

    exit_code = 75


class DamagedError(NocontactError):
    """The archive, or a record of it, is damaged or missing."""

    exit_code = 65


_WORST_FIRST = (73, 65, 77, 75)


def exit_code(problems: Iterable[Exception]) -> int:
    """The one exit code for several problems at once: 73 before 65 before 77 before 75 before 1."""
    codes = {p.exit_code if isinstance(p, NocontactError) else 1 for p in problems}
    if not codes:
        return 0
    return next((code for code in _WORST_FIRST if code in codes), 1 if len(codes) > 1 else codes.pop())
