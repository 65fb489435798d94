"""A bar on standard error while long work goes on, only where that is a terminal. It says how far, never how many."""

import sys
from types import TracebackType

_WIDTH = 30


class Bar:
    """Call it with what is done and what there is; leaving the context wipes it."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        """`quiet`: show nothing, for something else is written to the terminal meanwhile."""
        self._title = title
        self._shown = -1
        self._terminal = sys.stderr.isatty() and not quiet

    def __call__(self, done: int, whole: int) -> None:
        percent = 100 * done // whole if whole else 100
        if self._terminal and percent != self._shown:
            self._shown = percent
            bar = ("█" * (_WIDTH * percent // 100)).ljust(_WIDTH, "░")
            print(f"\r{self._title} {bar} {percent:3d} %", end="", file=sys.stderr, flush=True)

    def wipe(self) -> None:
        """Make room for other words; it comes again when there is more to show."""
        if self._shown >= 0:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._shown = -1

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self.wipe()
