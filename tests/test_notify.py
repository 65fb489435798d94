"""sd_notify over real sockets."""

import os
import socket
from pathlib import Path

import pytest

from nocontactd.notify import notify, watchdog


def test_a_datagram_reaches_a_socket_in_the_file_system(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notify({"NOTIFY_SOCKET": str(tmp_path / "notify")}, "READY=1", "WATCHDOG_USEC=5")
        assert manager.recv(100) == b"READY=1\nWATCHDOG_USEC=5"


def test_a_datagram_reaches_an_abstract_socket() -> None:
    name = f"nocontactd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        notify({"NOTIFY_SOCKET": "@" + name}, "STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_socket_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    notify({}, "READY=1")
    notify({"NOTIFY_SOCKET": "vsock:2:1"}, "READY=1")
    notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, "READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_watchdog_is_this_process_own(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog(environ) == seconds
