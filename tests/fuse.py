"""A fuse: the n-th call of anything wrapped in it kills the process, before or after the call acts."""

from collections.abc import Callable
from typing import Any


class Died(BaseException):
    """The process is dead. Not an Exception: nothing may catch it and go on."""


class Fuse:
    """Counts calls; at `at` it blows, and from then on nothing wrapped acts any more."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls = 0
        self.dead = False
        self.names: list[str] = []

    def call(self, name: str, act: Callable[[], Any]) -> Any:
        """Run `act` unless the process is dead or dies here."""
        if self.dead:
            raise Died(name)
        self.calls += 1
        self.names.append(name)
        if self.calls == self.at and not self.after:
            self.dead = True
            raise Died(f"before {name}")
        number = self.calls
        try:
            return act()
        finally:
            if number == self.at:
                self.dead = True
                raise Died(f"after {name}")

    def wrap(self, thing: Any, label: str) -> Any:
        """The same thing, with each of its methods on this fuse."""
        return _Wrapped(thing, label, self)


class _Wrapped:
    def __init__(self, thing: Any, label: str, fuse: Fuse) -> None:
        self._thing = thing
        self._label = label
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._thing, name)
        if not callable(value):
            return value

        def method(*words: Any, **named: Any) -> Any:
            answer = self._fuse.call(f"{self._label}.{name}", lambda: value(*words, **named))
            if hasattr(answer, "__enter__"):
                return _Entered(answer, f"{self._label}.{name}", self._fuse)
            if hasattr(answer, "__next__"):
                return self._each(answer, f"{self._label}.{name}")
            return answer

        return method

    def _each(self, items: Any, label: str) -> Any:
        while True:
            try:
                item = self._fuse.call(f"{label}.next", lambda: next(items))
            except StopIteration:
                return
            yield item


class _Entered:
    """A context manager on the fuse; a dead process does not clean up."""

    def __init__(self, manager: Any, label: str, fuse: Fuse) -> None:
        self._manager = manager
        self._label = label
        self._fuse = fuse

    def __enter__(self) -> Any:
        return self._fuse.wrap(self._manager.__enter__(), self._label)

    def __exit__(self, *failure: Any) -> Any:
        return False if self._fuse.dead else self._manager.__exit__(*failure)
