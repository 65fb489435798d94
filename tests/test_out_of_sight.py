"""What another client in IDLE on the inbox sees of listed people's messages: nothing with a rule, seconds without one.

Delivered over LMTP, with a real daemon. `make soak` has 200 of each, the figures are in tests/bench/sight.py.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.idler import idling
from tests.test_managesieve import deliver, letter, subjects


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


def installed(folder: Path, server: Dovecot, *, rule: bool) -> Installation:
    owner = Installation(folder, server).with_keys()
    text = owner.config.read_text()
    at = text.index("    password_file:")
    owner.put("config.yaml", text[:at] + (f"    sieve: {{port: {server.sieve_port}}}\n" if rule else "") + text[at:])
    return owner


def within(seconds: float, happened: Callable[[], object], what: str) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def hello(number: int) -> bytes:
    return letter(f"number {number}", "From: ex@abuser.example", f"Message-ID: <{number}@abuser.example>")


def seen_with_a_rule(folder: Path, server: Dovecot, count: int) -> int:
    """How many of so many deliveries came into sight before the message of a friend did."""
    owner = installed(folder, server, rule=True)
    daemon = owner.daemon(folder / "log")
    try:
        script = server.folder / "home" / owner.user / ".dovecot.sieve"
        within(20, script.exists, "the rule was not installed")
        with idling(server, owner.user) as seen:
            deliver(server, owner.user, *(hello(number) for number in range(count)))
            deliver(server, owner.user, letter("tea", "From: nadia@friends.example"))
            within(10, lambda: seen.came, "the client in IDLE is deaf")
            time.sleep(1)
            drained = lambda: not subjects(server, owner.user, "nocontact")  # noqa: E731  # one line for one thought
            within(30, drained, "the rule's folder was not drained")
            assert subjects(server, owner.user, "INBOX") == ["tea"]
            return seen.came - 1
    finally:
        daemon.terminate()
        daemon.wait(30)


def seconds_in_sight(folder: Path, server: Dovecot, count: int) -> tuple[list[float], int]:
    """How long each stood in sight of which this client was told, and of how many it was; each goes before the next."""
    owner = installed(folder, server, rule=False)
    daemon = owner.daemon(folder / "log")
    try:
        status = owner.state / "status.json"
        within(20, status.exists, "the daemon does not look")
        with idling(server, owner.user) as seen:
            for number in range(count):
                deliver(server, owner.user, hello(number))
                within(20, lambda: not subjects(server, owner.user, "INBOX"), "it still stands in the inbox")
            within(5, lambda: len(seen.seconds) == seen.came, "what has gone is still shown")
            return seen.seconds, seen.came
    finally:
        daemon.terminate()
        daemon.wait(30)


def test_with_the_rule_another_client_sees_none_of_twenty(tmp_path: Path, server: Dovecot) -> None:
    assert seen_with_a_rule(tmp_path, server, 20) == 0


def test_without_the_rule_each_is_gone_again_within_seconds(tmp_path: Path, server: Dovecot) -> None:
    """Some are gone before Dovecot, which gathers its notices for half a second, has told of them."""
    seconds, came = seconds_in_sight(tmp_path, server, 6)
    assert came > 0, "a client that sees none without a rule either proves nothing"
    assert max(seconds) < 10


@pytest.mark.soak
def test_with_the_rule_another_client_sees_none_of_two_hundred(tmp_path: Path, server: Dovecot) -> None:
    assert seen_with_a_rule(tmp_path, server, 200) == 0


@pytest.mark.soak
def test_without_the_rule_each_of_two_hundred_is_gone_again_within_seconds(tmp_path: Path, server: Dovecot) -> None:
    seconds, came = seconds_in_sight(tmp_path, server, 200)
    assert came > 20 and max(seconds) < 10
