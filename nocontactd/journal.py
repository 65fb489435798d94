"""The journal hears this program's own lines and nobody else's: libraries log numbers, addresses and bodies.

Nor does it hear a traceback, which would show the line and often the value that something failed on.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType

log = logging.getLogger("nocontactd")

PRIORITIES = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (logging.DEBUG, "<7>"))
"""sd-daemon(3): systemd takes the level of a line from its beginning."""


def open_journal(environ: Mapping[str, str]) -> None:
    """Send this program's lines to standard error, from the level in NOCONTACT_LOG on; silence everybody else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(prefixed="JOURNAL_STREAM" in environ))
    log.handlers = [handler]
    log.propagate = False
    level = environ.get("NOCONTACT_LOG", "").upper()
    log.setLevel(level if level in {"DEBUG", "INFO", "WARNING", "ERROR"} else "INFO")
    logging.getLogger().handlers = [logging.NullHandler()]  # without any, warnings go to standard error all the same
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda unraisable: _say(unraisable.exc_type, unraisable.exc_traceback)
    threading.excepthook = lambda args: _say(args.exc_type, args.exc_traceback)


def where(trace: TracebackType | None) -> str:
    """The place in this program's code where an exception arose, as `file:line`, without any value."""
    frames = [frame for frame in traceback.extract_tb(trace) if "nocontactd" in frame.filename]
    return f"{frames[-1].filename.rpartition('nocontactd/')[2]}:{frames[-1].lineno}" if frames else "elsewhere"


class _Line(logging.Formatter):
    def __init__(self, *, prefixed: bool) -> None:
        super().__init__("%(message)s")
        self._prefixed = prefixed

    def format(self, record: logging.LogRecord) -> str:
        record.exc_info = record.exc_text = record.stack_info = None
        priority = next(said for level, said in PRIORITIES if record.levelno >= level or level == logging.DEBUG)
        return "\n".join((priority if self._prefixed else "") + line for line in super().format(record).splitlines())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _say(kind, trace)


def _say(kind: type[BaseException], trace: TracebackType | None) -> None:
    log.error("an error of this program (%s at %s)", kind.__name__, where(trace))
