"""A terminal with `nocontact` on it: wait for words, type others."""

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "import sys; from nocontactd.cli import main; sys.exit(main())"
LIGHT = f"""\
import pyrage
from tests.light import light
pyrage.passphrase.encrypt = light
{PROGRAM}"""
"""The same where locking with a passphrase takes 1/256 of the work: only a test has the words for it."""
ROOT = Path(__file__).parents[2]


_HERE = {"PYTHONPATH": str(ROOT)}


class Terminal:
    """One command on a terminal of its own; everything that stood on the screen is in `screen`."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *words: str, program: str = PROGRAM) -> None:
        self.screen = ""
        self._read = 0
        self.pid, self._side = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background ignores it, and hands that on
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, "-c", program, *words], {**os.environ, **environ, **_HERE})

    def expect(self, words: str, patience: float = 60) -> str:
        """Wait until these words come after what was expected before; what stood between."""
        deadline = time.monotonic() + patience
        while (at := self.screen.find(words, self._read)) < 0:
            assert time.monotonic() < deadline, f"never said {words!r}:\n{self.screen}"
            assert self._more() or words in self.screen[self._read :], f"ended without {words!r}:\n{self.screen}"
        between = self.screen[self._read : at]
        self._read = at + len(words)
        return between

    def type(self, words: str) -> None:
        """Type a line."""
        os.write(self._side, (words + "\n").encode())

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self, patience: float = 60) -> int:
        """Wait for the command's end; its exit code."""
        deadline = time.monotonic() + patience
        while more := self._more():
            if time.monotonic() > deadline:
                break
        if more:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._side)
        return os.waitstatus_to_exitcode(status)

    def _more(self) -> bool:
        waiting = select.poll()  # unlike select(2), it takes descriptors above 1023
        waiting.register(self._side, select.POLLIN)
        if not waiting.poll(500):
            return True
        try:
            octets = os.read(self._side, 65536)
        except OSError:  # EIO: the other side is closed
            return False
        self.screen += octets.decode(errors="replace")
        return bool(octets)
