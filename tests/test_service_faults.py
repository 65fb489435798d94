"""The daemon at a server that refuses it, or is away: not hammered, and no other source waits for it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation, letter
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.faulty import CLIENT, SERVER, SILENCE, BadNetwork, Fault, Place, bad_network
from tests.peers.plain_imap import Box, Mail, plain_imap
from tests.test_service import EX, daemon, edit, senders

OTHER = """\
  - source: other
    host: 127.0.0.1
    port: {port}
    security: none
    user: other
    password_file: {folder}/{secret}
    every: 0.1s
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def network(server: Dovecot) -> Iterator[BadNetwork]:
    with bad_network(server.host, server.port) as running:
        yield running


def with_other(folder: Path, server: Dovecot, network: BadNetwork, secret: str = "secret") -> Installation:
    """A mailbox in order, and another one behind the network, which is looked at ten times a second."""
    place = Installation(folder, server).with_keys()
    edit(place, "every: 1s", "every: 0.1s")
    edit(place, "archive:", OTHER.format(port=network.port, folder=folder, secret=secret) + "archive:")
    return place


def test_a_refused_login_is_made_once_by_the_look_and_once_by_the_listener(
    tmp_path: Path, server: Dovecot, network: BadNetwork
) -> None:
    place = with_other(tmp_path, server, network, "wrong")
    place.put("wrong", "not the password")
    with daemon(place) as running:
        running.until(lambda: "refused the login" in (running.sources().get("other") or ""))
        time.sleep(1)
        place.deliver(EX)
        running.until(lambda: "ex@abuser.example" not in senders(place))
        assert running.sources()["home"] is None
    assert network.said[CLIENT].count(b" AUTHENTICATE ") <= 2


@pytest.mark.soak
def test_a_server_that_is_away_is_tried_now_and_then_and_delays_nobody(
    tmp_path: Path, server: Dovecot, network: BadNetwork
) -> None:
    network.fault, network.struck = Fault(Place(SERVER, 0), for_good=True), True
    place = with_other(tmp_path, server, network)
    with daemon(place) as running:
        running.until(lambda: "cannot be reached" in (running.sources().get("other") or ""))
        time.sleep(2)
        assert 1 <= network.connections <= 10  # of the look and of the listener; at its interval it would be 20
        place.deliver(EX)
        running.until(lambda: "ex@abuser.example" not in senders(place))
        network.mend()
        running.until(lambda: running.sources()["other"] is None, 20)


@pytest.mark.soak
def test_a_peer_that_falls_silent_in_mid_session_delays_nobody(
    tmp_path: Path, server: Dovecot, network: BadNetwork
) -> None:
    place = with_other(tmp_path, server, network)
    with daemon(place) as running:
        running.until(running.healthy)
        network.fault = Fault(Place(SERVER, len(network.said[SERVER]) + 1), SILENCE)
        running.until(lambda: network.struck)
        for _ in range(2):
            place.deliver(EX)
            running.until(lambda: "ex@abuser.example" not in senders(place), 5)
        assert running.sources()["home"] is None
        assert running.stop() < 10


def test_status_says_how_far_what_is_older_was_looked_through(tmp_path: Path) -> None:
    with plain_imap() as server:
        for number in range(6):
            box = server.boxes.setdefault(f"Year {number}", Box(100 + number))
            box.put(Mail(letter("nadia@friends.example", number)))

        def meddle(line: str, answer: bytes) -> list[bytes]:
            time.sleep(0.5 if line.startswith("UID FETCH") else 0)
            return [answer]

        server.meddle = meddle
        owner = Installation(tmp_path, server, user="me").with_keys()  # type: ignore[arg-type]  # no more is asked of it
        running = owner.daemon(owner.folder / "log")
        try:
            said: list[int] = []
            until = time.monotonic() + 30
            while time.monotonic() < until and not said:
                status = owner.nocontact("status").stdout
                said += [
                    int(each) for each in re.findall(r"what is older is being looked through.*\((\d+) %\)", status)
                ]
            assert 0 < said[0] < 100
        finally:
            running.terminate()
            running.wait(20)
