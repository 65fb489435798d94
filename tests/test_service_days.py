"""The daemon closes the days that are over at its start, with nothing to seal, and says what keeps it from that."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nocontactd.archive.seal import Archive
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot
from tests.test_service import daemon, edit


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def left_open(place: Installation, days: int) -> Path:
    """A day so long ago on which a daemon sealed something, and then was off; its folder."""
    moment = datetime.now(UTC) - timedelta(days=days)
    archive = Archive(place.archive, place.state / "log.key", lambda: moment)
    archive.enter("coverage", ())
    archive.close()
    return place.archive / "mail" / moment.strftime("%Y-%m-%d")


def test_a_start_closes_the_days_that_were_left_open(tmp_path: Path, server: Dovecot) -> None:
    place = Installation(tmp_path, server, user="days").with_keys()
    edit(place, "every: 1s", "every: 1h")
    edit(place, f"password_file: {tmp_path}/secret", "password_command: sleep 30")  # no look, and so no coverage
    folders = [left_open(place, days) for days in (1, 9)]
    with daemon(place) as running:
        running.until(lambda: all(len(list(folder.iterdir())) == 16 for folder in folders))
        assert "closing" not in running.journal
        running.process.kill()
    today = place.archive / "mail" / datetime.now(UTC).strftime("%Y-%m-%d")
    assert len(list(today.iterdir())) == 1
