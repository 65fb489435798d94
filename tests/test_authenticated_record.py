"""From a mailbox to the review: a forged sender is sealed and marked, a proven one is said to be, a court passes."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from nocontactd import config
from nocontactd.archive.unseal import Opener
from nocontactd.assemble import assemble
from nocontactd.cli.review import _head
from nocontactd.errors import DamagedError
from nocontactd.poll import poll
from nocontactd.review.rows import Row, as_json, row
from tests import installation
from tests.installation import Installation
from tests.peers.dovecot import Dovecot, dovecot

SAYS = "Authentication-Results: mx.home.example; "
GENUINE = SAYS + "dmarc=pass header.from=abuser.example\r\n"
FORGED = SAYS + "dmarc=fail header.from=abuser.example\r\n"
OWN = "Authentication-Results: mx.abuser.example; dmarc=pass header.from=abuser.example\r\n"
COURT = SAYS + "dkim=pass header.d=police.uk\r\n"
EX, CLERK = "From: ex@abuser.example\r\n", "From: pc@kent.police.uk\r\nReply-To: x@abuser-business.example\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


def place(folder: Path, server: Dovecot, authserv_id: str) -> Installation:
    """One that also lists a whole domain, and may know its provider's name."""
    made = Installation(folder, server).with_keys()
    text = made.config.read_text().replace("[ex@abuser.example]", '[ex@abuser.example, "@abuser-business.example"]')
    made.put("config.yaml", text.replace("    every: 1s", f"    {authserv_id}\n    every: 1s"))
    return made


def look(made: Installation, *headers: str) -> None:
    """Deliver messages with these headers, each with a subject of its own, and look once."""
    made.deliver(*(f"{head}Subject: {n}\r\n\r\nHi.\r\n".encode() for n, head in enumerate(headers)))

    def now() -> datetime:
        return datetime.now(UTC)

    with assemble(config.load(made.config), made.state, {}, now) as parts:
        [job] = parts.jobs
        with closing(job.source):
            report = poll(job.source, parts.archive, parts.ledger, parts.policy, now)
    assert report.problems == ()


def reviewed(made: Installation) -> dict[str, Row]:
    """What was sealed, by its subject."""
    opener = Opener(made.archive, *installation._identities())
    opened = (item for item in opener.messages(opener.days()) if not isinstance(item, DamagedError))
    return {found.subject: found for found in filter(None, map(row, opened))}


def test_what_the_provider_said_comes_out_at_the_review(tmp_path: Path, server: Dovecot) -> None:
    made = place(tmp_path, server, "authserv_id: mx.home.example")
    look(
        made,
        *(GENUINE + EX, FORGED + EX, FORGED + GENUINE + EX, OWN + EX),
        *(GENUINE + "From: n@other.example\r\nReply-To: ex@abuser.example\r\n", COURT + CLERK, CLERK),
    )
    found = reviewed(made)
    assert {subject: row.authenticated for subject, row in found.items()} == {
        "0": True,
        "1": False,
        "2": False,
        "3": None,
        "4": False,
        "6": None,  # 5 is the police's, and stays
    }
    assert {json.loads(as_json(row))["authenticated"] for row in found.values()} == {True, False, None}
    assert any("do not attribute" in line for line in _head(found["1"]))
    assert not any("do not attribute" in line for line in (*_head(found["0"]), *_head(found["3"])))
    assert len(made.mailbox()) == 1


def test_without_the_providers_name_nothing_is_known_and_nobody_protected(tmp_path: Path, server: Dovecot) -> None:
    made = place(tmp_path, server, "never_touch: [Court]")
    look(made, GENUINE + EX, COURT + CLERK)
    assert {row.authenticated for row in reviewed(made).values()} == {None}
    assert len(made.mailbox()) == 0


def test_the_record_holds_the_providers_words_after_the_message(tmp_path: Path, server: Dovecot) -> None:
    made = place(tmp_path, server, "authserv_id: mx.home.example")
    look(made, FORGED + EX)
    [found] = reviewed(made).values()
    opener = Opener(made.archive, *installation._identities())
    keys = [pyrage.x25519.Identity.from_str(key) for key in opener.day_keys(found.record[:10])]
    plain = pyrage.decrypt((made.archive / "mail" / f"{found.record}.age").read_bytes(), keys)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert tar.getnames() == ["meta.json", "message.eml", "auth.json", "final.json"]
        member = tar.extractfile("auth.json")
        assert member is not None
        assert json.load(member) == {
            "results": "mx.home.example; dmarc=fail header.from=abuser.example",
            "domains": [],
            "authenticated": False,
        }
