"""`nocontact poll` killed from outside, at every IMAP command and Twilio request, before and after it acts.

A proxy stands between the process and the real server, counts commands, and at the n-th sends
SIGKILL: before it passes the command on, or after the server has answered and before the
answer is seen. Then: nothing lost, nothing of anybody else's touched; and one more pass leaves
nothing of the listed, and nothing twice.
"""

import itertools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nocontactd.demo.loopback import HangUpError, Request
from nocontactd.demo.twilio_standin import TwilioStandin
from tests import forked
from tests.installation import EX_PHONE, FRIEND_PHONE, NUMBER, RELAY_TO, Installation, letter
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.imap_proxy import ImapProxy, imap_proxy

THEIRS = [letter("Ex <ex@abuser.example>", 1), letter("EX@Abuser.Example", 2)]
OTHERS = [letter("nadia@friends.example", 10), letter("ex@friends.example", 11)]


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: Dovecot) -> Iterator[ImapProxy]:
    with imap_proxy(server.host, server.port) as running:
        yield running


def filled(folder: Path, server: Dovecot, twilio: TwilioStandin | None = None) -> Installation:
    """An installation with an archive, and two listed messages among others'."""
    place = Installation(folder, server, twilio).with_keys()
    place.deliver(OTHERS[0], THEIRS[0])
    place.deliver(OTHERS[1], folder="Junk", flags=r"(\Deleted \Flagged)")
    place.deliver(THEIRS[1], folder="Junk")
    return place


def others(place: Installation) -> dict[tuple[str, int], tuple[bytes, bytes]]:
    return {where: each for where, each in place.mailbox().items() if each[1] not in THEIRS}


def through(place: Installation, port: int) -> None:
    """Put the proxy in between; what the tests see of the mailbox does not go through it."""
    direct = place.server.port
    text = place.config.read_text()
    place.config.write_text(text.replace(f"port: {direct}", f"port: {port}"))


def test_killed_at_every_imap_command(tmp_path: Path, server: Dovecot, proxy: ImapProxy) -> None:
    for moment in ("before", "after"):
        for at in itertools.count(1):
            place = filled(tmp_path / f"{moment}{at}", server)
            through(place, proxy.port)
            before = others(place)
            command = killed(place, proxy, at, moment)
            if command is None:
                assert at > 12, "the proxy did not see the session"
                break
            judged(place, before, f"{moment} {command}")


def killed(place: Installation, proxy: ImapProxy, at: int, moment: str) -> str | None:
    """Run a pass that is killed at that line; the line, or None when the pass ended before."""
    pid: list[int] = []
    proxy.arm(at, moment, lambda: os.kill(pid[0], signal.SIGKILL))
    process = forked.start(["poll"], place.environ, place.folder)
    pid.append(process.pid or 0)
    code = forked.finish(process)
    assert code in (0, -signal.SIGKILL), (place.folder / "said").read_text()
    command = proxy.lines[at - 1].decode("latin-1") if code else None
    proxy.arm(0, "", lambda: None)
    return command


def judged(place: Installation, before: dict[tuple[str, int], tuple[bytes, bytes]], when: str) -> None:
    """Nothing lost and nothing touched now; after one more pass nothing left and nothing doubled."""
    standing = [octets for _, octets in place.mailbox().values()]
    acknowledged = place.acknowledged()
    assert all(each in standing or each in acknowledged for each in THEIRS), f"lost: {when}"
    assert others(place) == before, f"touched: {when}"
    code = forked.finish(forked.start(["poll"], place.environ, place.folder))
    assert code == 0, f"{when}: {(place.folder / 'said').read_text()}"
    assert place.mailbox() == before, f"left or touched: {when}"
    assert place.acknowledged() == Counter(THEIRS), f"lost or doubled: {when}"


def test_killed_at_every_twilio_request(tmp_path: Path, server: Dovecot) -> None:
    for moment in ("before", "after"):
        for at in itertools.count(1):
            with TwilioStandin() as twilio:
                place = Installation(tmp_path / f"{moment}{at}", server, twilio).with_keys()
                assert forked.finish(forked.start(["poll"], place.environ, place.folder)) == 0  # relaying begins
                if not killed_at_request(place, twilio, at, moment):
                    assert at > 8
                    break


def killed_at_request(place: Installation, twilio: TwilioStandin, at: int, moment: str) -> bool:
    """Texts arrive and a pass is killed at that request; then everything is judged. False when it ended before."""
    twilio.arrives(from_=EX_PHONE, to=NUMBER, body="I am outside", media=[(b"\xff\xd8 picture", "image/jpeg")])
    twilio.arrives(from_=FRIEND_PHONE, to=NUMBER, body="Dinner at seven")
    theirs = {sid for sid, each in by_sid(twilio).items() if each["from"] == EX_PHONE}
    untouched = {sid: octets for sid, octets in twilio.snapshot().items() if sid not in theirs}
    pid: list[int] = []
    seen = itertools.count(1)
    lines: list[str] = []

    def strike(request: Request) -> None:
        if next(seen) == at:
            lines.append(f"{moment} {request.method} {request.path}")
            os.kill(pid[0], signal.SIGKILL)
            raise HangUpError

    setattr(twilio.http, moment, strike)
    process = forked.start(["poll"], place.environ, place.folder)
    pid.append(process.pid or 0)
    code = forked.finish(process)
    setattr(twilio.http, moment, lambda _: None)
    if code == 0:
        return False
    records = [each for each in place.sealed() if each.logged]
    assert theirs <= twilio.snapshot().keys() or records, f"lost: {lines}"
    assert untouched.items() <= twilio.snapshot().items(), f"touched: {lines}"
    again = forked.finish(forked.start(["poll"], place.environ, place.folder))
    relayed = [each for each in by_sid(twilio).values() if each["to"] == RELAY_TO]
    assert again in (0, 75), (place.folder / "said").read_text()  # 75: whether it was passed on is not known yet
    assert len(relayed) == 1 or again == 75, f"not passed on: {lines}"
    assert len(relayed) <= 1, f"passed on twice: {lines}"
    assert not theirs & twilio.snapshot().keys(), f"left: {lines}"
    assert untouched.items() <= twilio.snapshot().items(), f"touched: {lines}"
    assert len([each for each in place.sealed() if each.logged]) == 1, f"lost or doubled: {lines}"
    return True


def by_sid(twilio: TwilioStandin) -> dict[str, dict[str, str]]:
    return {each["sid"]: each for each in twilio.messages()}
