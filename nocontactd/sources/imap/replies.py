"""What a server says until it has answered a FETCH, read from the wire, so that the next one may be on its way.

imaplib knows of one command at a time, and looks at each line with four expressions; here a
hundred thousand answers are a matter of seconds. What is no FETCH answer is passed over.
"""

import re
from typing import Any

from nocontactd.sources.imap.fetch_answers import Raw

_LITERAL = re.compile(rb"\{(\d{1,10})\}\r\n")
_FETCH = re.compile(rb"\* (\d{1,10} )FETCH (?=\()", re.IGNORECASE)


def fetched(wire: Any, tag: bytes) -> tuple[str, list[bytes], list[Raw]]:
    """How the command of this tag ended, its words, and the FETCH answers as imaplib hands them over.

    OSError and imaplib's own errors: the connection ended, or what comes has no end.
    """
    said: list[Raw] = []
    while True:
        line = _line(wire)
        if line.startswith(tag + b" "):
            kind, _, words = line[len(tag) + 1 :].partition(b" ")
            return kind.decode("ascii", "replace").upper(), [words], said
        answer = _FETCH.match(line)
        if answer:
            line = answer[1] + line[answer.end() :]
        while line.endswith(b"}\r\n") and (literal := _LITERAL.match(line, line.rindex(b"{"))):
            octets = wire.read(int(literal[1]))
            if answer:
                said.append((line[:-2], octets))
            line = _line(wire)
        if answer:
            said.append(line.rstrip(b"\r\n"))


def _line(wire: Any) -> bytes:
    line: bytes = wire.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("cut off in a line")
    return line
