"""A duration is a number and a unit, s, m, h, d or the words; without a unit it is nothing."""

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?) *(?:(s)(?:econds?)?|(m)(?:inutes?)?|(h)(?:ours?)?|(d)(?:ays?)?)", re.IGNORECASE
)


def seconds(text: str) -> float | None:
    """The seconds that `60s`, `1 h`, `7 days` or `0.1s` stand for; None where it is none of these."""
    found = _DURATION.fullmatch(text)
    if found is None or found.lastindex is None:
        return None
    return float(found[1]) * _UNITS[found[found.lastindex].lower()]
