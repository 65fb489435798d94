"""What a verification has found: names of files inside the archive, and never what is in them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verification:
    """Paths inside the archive (`mail/2026-11-22/000001.age`, `log/checkpoint`), sorted, by what is the matter."""

    ok: bool
    """Nothing is damaged, missing or extra."""
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    in_progress: tuple[str, ...]
    """Newer than the last checkpoint, or being written just now."""
    remarks: tuple[str, ...] = ()
    """What there is to say beside it, a sentence each: why something is damaged, what could not be checked."""


@dataclass(slots=True)
class Findings:
    """Names as they are found."""

    damaged: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)
    in_progress: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def close(self) -> Verification:
        """Nothing more will be found."""
        return Verification(
            not (self.damaged or self.missing or self.extra),
            tuple(sorted(self.damaged)),
            tuple(sorted(self.missing)),
            tuple(sorted(self.extra)),
            tuple(sorted(self.in_progress)),
            tuple(self.remarks),
        )
