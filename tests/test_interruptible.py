"""A source that ends with the daemon, between two steps."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from nocontactd.errors import UnreachableError
from nocontactd.interruptible import Interruptible, InterruptibleRelay
from nocontactd.model import Look, MessageRef, Receipt, Removal


class Plain:
    """A source with two folders and no message."""

    name = "home"
    removed = 0
    closed = 0

    def scan(self, _cursors: object, _rules: str) -> Iterator[Look]:
        yield Look("INBOX", 1, 1, 0)
        yield Look("Junk", 1, 1, 0)

    def written(self, _cursors: object) -> Iterator[Look]:
        yield Look("Sent", 1, 1, 0)

    def fetch(self, _ref: MessageRef) -> None:
        return None

    def remove(self, receipts: tuple[Receipt, ...]) -> Removal:
        self.removed += 1
        return Removal(tuple(receipts))

    def close(self) -> None:
        self.closed += 1


REF = MessageRef("home", "INBOX", 1, "1")


def test_a_look_is_left_alone_while_the_daemon_runs() -> None:
    source = Interruptible(Plain(), lambda: False)  # type: ignore[arg-type]
    assert len(list(source.scan({}, ""))) == 2
    assert len(list(source.written({}))) == 1
    assert source.fetch(REF) is None


def test_a_scan_and_a_fetch_end_with_the_daemon() -> None:
    source = Interruptible(Plain(), lambda: True)  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match="home: "):
        list(source.scan({}, ""))
    with pytest.raises(UnreachableError):
        list(source.written({}))
    with pytest.raises(UnreachableError):
        source.fetch(REF)


def test_what_is_sealed_is_still_removed_when_the_daemon_ends() -> None:
    plain = Plain()
    source = Interruptible(plain, lambda: True)  # type: ignore[arg-type]
    receipt = Receipt("2026-11-22/000001", REF)
    assert source.remove([receipt]).gone == (receipt,)
    source.close()
    assert (plain.removed, plain.closed, source.name) == (1, 1, "home")


class Phone:
    """A relay that counts."""

    sent = 0

    def send(self, ref: MessageRef, *, repeat: bool) -> str | None:
        self.sent += 1
        return "SM1"

    def find(self, ref: MessageRef, since: datetime, claimed: frozenset[str]) -> str | None:
        return "SM2"


def test_nothing_more_is_passed_on_once_the_daemon_ends() -> None:
    phone, ending = Phone(), [False]
    relay = InterruptibleRelay(phone, lambda: ending[0])
    assert relay.send(REF, repeat=False) == "SM1"
    assert relay.find(REF, datetime.now(UTC), frozenset()) == "SM2"
    ending[0] = True
    with pytest.raises(UnreachableError, match="home: "):
        relay.send(REF, repeat=False)
    with pytest.raises(UnreachableError):
        relay.find(REF, datetime.now(UTC), frozenset())
    assert phone.sent == 1
