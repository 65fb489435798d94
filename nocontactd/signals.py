"""Signals as values that are waited for: a handler interrupts anything anywhere, and can do next to nothing safely."""

import os
import select
import signal
from signal import SIGHUP, SIGINT, SIGTERM, Signals


def catch() -> int:
    """From now on SIGTERM, SIGINT and SIGHUP do nothing but show up at this descriptor. For the main thread."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (SIGTERM, SIGINT, SIGHUP):
        signal.signal(number, lambda *_: None)
    return reading


def caught(descriptor: int, seconds: float) -> frozenset[Signals]:
    """The signals that came, at once when one does, else nothing after so many seconds."""
    ready, _, _ = select.select([descriptor], [], [], seconds)
    return frozenset(Signals(number) for number in os.read(descriptor, 64)) if ready else frozenset()
