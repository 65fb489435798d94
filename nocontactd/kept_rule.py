"""The block list kept in force as a rule on a mail server: put there again when the list or the server has changed.

A convenience, never a condition: whatever goes wrong here, the mailbox is looked through all the same.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from nocontactd import server_rule
from nocontactd.errors import NocontactError
from nocontactd.model import Rule
from nocontactd.ports import Scripts

CHECK = 900.0
"""Seconds between two looks at the rule on the server."""
UNMARKED = "the server cannot mark what the rule files (no imap4flags): look for what you miss in the rule's folder"
RETRY = 300.0
"""Seconds until one that failed is tried again: an unreachable server must not hold up each look at the mailbox."""


class KeptRule:
    """The rule of one mailbox; used by its source's thread alone."""

    def __init__(
        self,
        source: str,
        folder: Callable[[], str],
        scripts: Callable[[], AbstractContextManager[Scripts]],
        monotonic: Callable[[], float],
    ) -> None:
        self._source, self._folder = source, folder
        self._scripts, self._monotonic = scripts, monotonic
        self._tried: tuple[Rule, ...] | None = None
        """The entries whose rule was to stand there when it was looked at last."""
        self._stands = False
        self._due = monotonic()
        self._problems: tuple[NocontactError, ...] = ()

    def keep(self, entries: Iterable[Rule]) -> tuple[NocontactError, ...]:
        """See that the rule for these entries is in force; what is wrong with it. Asks the server now and then."""
        entries = tuple(entries)
        if entries == self._tried and self._monotonic() < self._due:
            return self._problems
        before, first = self._tried if self._stands else None, self._tried is None
        self._tried, self._stands, self._due = entries, False, self._monotonic() + RETRY
        try:
            self._problems = self._put(entries, before, first=first)
            self._stands, self._due = True, self._monotonic() + CHECK
        except NocontactError as problem:
            # Of this kind only: a refusal here must not make the mailbox itself rest.
            self._problems = (NocontactError(problem.message, problem.hint),)
        return self._problems

    def check(self, entries: Iterable[Rule]) -> tuple[str, ...]:
        """What should be known of it, a sentence each; nothing is changed. NocontactError: it is not in force."""
        folder = self._folder()
        with self._scripts() as there:
            standing = there.standing()
        if lacking := server_rule.missing(standing):
            raise server_rule.lacks(self._source, lacking)
        if server_rule.install(entries, folder, standing):
            raise NocontactError(
                f"{self._source}: the rule does not stand on the server as it should; listed messages reach the inbox",
                f"the daemon looks after it each quarter of an hour; or `nocontact rules sieve --push {self._source}`",
            )
        return () if server_rule.marks(standing) else (UNMARKED,)

    def _put(
        self, entries: tuple[Rule, ...], before: tuple[Rule, ...] | None, *, first: bool
    ) -> tuple[NocontactError, ...]:
        """`before`: the entries whose rule stood there, if it is known to have. `first` of this process."""
        folder = self._folder()
        with self._scripts() as there:
            standing = there.standing()
            if lacking := server_rule.missing(standing):
                return (server_rule.lacks(self._source, lacking),)
            steps = server_rule.install(entries, folder, standing)
            there.carry_out(steps)
        if before is None:
            meddled = first and server_rule.passed_over(standing)
        else:  # not by these entries: they may have changed meanwhile
            meddled = bool(server_rule.install(before, folder, standing))
        if not meddled:
            return ()
        return (
            NocontactError(
                f"{self._source}: somebody else had changed the rule on the server; it was put back",
                "a webmail's filter page does that; if it was not you, change the password",
            ),
        )
