"""What no reader sees must not tell two spellings apart: it is taken out before anything is compared."""

import re

_INVISIBLE = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]+"
)
"""Unicode's Default_Ignorable_Code_Point: soft hyphen, zero-width and bidi marks, fillers, selectors, tags."""


def without_invisible(text: str) -> str:
    """The text as it is seen."""
    return text if text.isascii() else _INVISIBLE.sub("", text)
