"""What the owner's phone is sent of a text: who wrote it and every word of it. Pure, so that it can be found again."""

import re
from collections.abc import Iterator

LONGEST = 1500
"""UTF-16 units of one message. Twilio refuses 1601 (error 21617), and a trial account adds a line of its own."""
AGAIN = "(perhaps a repeat) "
FILES = "\n(with pictures or files, which stay at the number)"
TRIAL = "Sent from your Twilio trial account - "

_PASSED_ON = re.compile(r"(?:\(perhaps a repeat\) )?(?:\(\d+/\d+ \w+\) )?From (.{1,60}?): ")


def compose(sender: str, body: str, *, files: bool, tag: str, repeat: bool) -> tuple[str, ...]:
    """The messages that say it, in order: one, or as many as it takes, numbered and marked with `tag`."""
    whole = f"{AGAIN if repeat else ''}From {sender or 'an unknown sender'}: {body}{FILES if files else ''}"
    whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # half a pair cannot be sent
    if _length(whole) <= LONGEST:
        return (whole,)
    pieces = list(_cut(whole, LONGEST - len(f"(999/999 {tag}) ")))
    return tuple(f"({place}/{len(pieces)} {tag}) {piece}" for place, piece in enumerate(pieces, 1))


def plain(body: str) -> str:
    """A body as Twilio lists it, without what Twilio itself may have put around it."""
    return body.removeprefix(TRIAL).strip()


def came_round(body: str, number: str) -> bool:
    """Whether this number passed this text on before: then relays of several numbers have closed a ring."""
    while passed := _PASSED_ON.match(body):
        if passed[1] == number:
            return True
        body = body[passed.end() :]
    return False


def _cut(text: str, most: int) -> Iterator[str]:
    """Pieces of at most so many UTF-16 units, between characters, after white space where there is some near."""
    while _length(text) > most:
        end = len(text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore"))
        space = max(text.rfind(" ", end - 100, end), text.rfind("\n", end - 100, end))
        end = space + 1 if space > 0 else end
        yield text[:end]
        text = text[end:]
    yield text


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
