"""pyrage turns whatever it is given raises into a text of its own: a `Stash` keeps the exception itself."""

from types import TracebackType


class Stash:
    """Remembers the first exception that passed through it, and lets it pass."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.failure = self.failure or value
