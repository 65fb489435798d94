"""One IDLE (RFC 2177): what is said in it, and how it ends. Nothing that is said is lost, however it is cut.

What is asked for next may go in the flight that ends it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any


class Idling:
    """In the folder that is open on a wire; the errors of a wire end in `asking`."""

    def __init__(self, wire: Any, asking: Callable[[], AbstractContextManager[None]], answer: float) -> None:
        """`answer`: seconds for the server to begin it, and to end it."""
        self._wire, self._asking, self._answer = wire, asking, answer
        self._over = False
        with asking():
            self._tag = wire._new_tag()
            wire.tagged_commands.clear()  # its answer is read here, and imaplib would wait for it for ever
            wire.send(self._tag + b" IDLE\r\n")
            self._early = _until(wire, b"+", self._tag, answer)

    def lines(self, seconds: float) -> list[bytes]:
        """The untagged lines that come within this time, as soon as there are any; first what came before it stood."""
        if self._early:
            return [self._early.pop(0) for _ in range(len(self._early))]
        with self._asking():
            return list(self._wire.lines(seconds))

    def end(self) -> list[bytes]:
        """End it, if it has not ended; what was said until it had."""
        if self._over:
            return []
        self._over = True
        with self._asking():
            self._wire.send(b"DONE\r\n")
            said = _until(self._wire, self._tag, self._tag, self._answer)
            if self._wire.unfinished:
                raise ValueError("half a line after the end of IDLE")
        return self._early + said

    def end_asking(self, command: bytes) -> tuple[list[bytes], tuple[str, Sequence[Any]]]:
        """End it, and ask this in the same flight: what was said until it had ended, and how the command did.

        The answers to it are where imaplib collects them. To be called where errors end.
        """
        wire, self._over = self._wire, True
        said = self._early
        asked = wire._new_tag()
        wire.send(b"DONE\r\n%b %b\r\n" % (asked, command))
        line, wire.unfinished = wire.unfinished + wire.readline(), b""
        while not line.startswith(self._tag + b" "):
            if not line.endswith(b"\n"):
                raise ConnectionError("cut off in a line")
            said.append(line.rstrip(b"\r\n"))
            line = wire.readline()
        _accept(line, self._tag)
        return said, wire._get_tagged_response(asked)


def _until(wire: Any, wanted: bytes, tag: bytes, seconds: float) -> list[bytes]:
    """The other lines that come with the one that begins with `wanted`; OSError when it does not come."""
    others: list[bytes] = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        lines: list[bytes] = wire.lines(left)
        for number, line in enumerate(lines):
            if line.startswith(wanted):
                if wanted == tag:
                    _accept(line, tag)
                return others + lines[number + 1 :]
            if line.startswith(tag):
                raise ValueError("IDLE was refused")
            others.append(line)
    raise TimeoutError("no answer to IDLE")


def _accept(line: bytes, tag: bytes) -> None:
    if not line[len(tag) :].upper().startswith(b" OK"):
        raise ValueError("IDLE ended in a refusal")
