"""pymap in this process, as the demonstration runs it: MOVE, UIDPLUS, and nothing to install beside Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nocontactd.demo.mail_server import PASSWORD, USER, mail_server
from tests.peers import missing


@dataclass(frozen=True)
class Pymap:
    """A running server with one empty mailbox."""

    port: int
    user: str = USER
    password: str = PASSWORD
    host: str = "127.0.0.1"


@contextmanager
def pymap_server() -> Iterator[Pymap]:
    """Start one, and stop it in the end."""
    try:
        import pymap  # noqa: F401
    except ImportError:
        missing("pymap is not installed (the extra [demo])")
    with mail_server() as port:
        yield Pymap(port)
