"""The daemon has its log time-stamped by an authority outside, once a day, and bothers nobody with it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nocontactd import status
from tests.installation import Installation
from tests.peers import timestamper
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.timestamper import Timestamper, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Timestamper]:
    with serving(timestamper.make(tmp_path / "authority")) as answering:
        yield answering


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def test_a_daemon_has_its_log_stamped_and_the_stamp_is_verified(
    server: Dovecot, authority: Timestamper, tmp_path: Path
) -> None:
    """First with an authority that refuses, which is told as it never gave a stamp; then, after a start, with one."""
    place = Installation(tmp_path / "home", server).with_keys()
    text = place.config.read_text()
    place.config.write_text(f"{text}tsa: {{url: {authority.url}, ca_file: {authority.root}}}\n")
    anchors = place.archive / "log" / "anchors"
    authority.status = 503
    for wanted in (503, 200):
        authority.status = wanted
        daemon = place.daemon(tmp_path / "journal")
        try:
            if wanted == 503:
                until(lambda: "503" in str(status.read(place.state)))
            else:
                until(lambda: list(anchors.glob("*.tsr")))
                until(lambda: (said := status.read(place.state)) and said.healthy)
        finally:
            daemon.terminate()
            assert daemon.wait(20) == 0
    done = place.nocontact("verify")
    assert (done.returncode, done.stdout) == (0, "the archive is whole and unaltered\n"), done
    next(anchors.glob("*.note")).unlink()
    assert place.nocontact("verify").returncode == 65
    assert authority.url not in (tmp_path / "journal").read_text()
