"""sd_notify(3) in ten lines: one datagram to the socket that systemd named, or nothing where it named none."""

import os
import socket
from collections.abc import Mapping


def notify(environ: Mapping[str, str], *assignments: str) -> None:
    """Tell systemd, as in `notify(os.environ, "READY=1")`. A lost message is no error: the watchdog bites."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto("\n".join(assignments).encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return


def watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds after which systemd kills this process if it hears no WATCHDOG=1; None: it does not watch."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() and int(microseconds) else None
