"""The rule on a real server and the daemon together: whatever the rule files, the daemon has the last word.

Dovecot with Pigeonhole, delivery over LMTP and by dovecot-lda, and every case of the corpus.
"""

import json
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nocontactd import server_rule, shipped
from nocontactd.decide import Policy
from nocontactd.model import Disposition
from nocontactd.poll import poll
from nocontactd.reading import Reader
from nocontactd.rules import rule
from nocontactd.sources.imap import Mailbox
from nocontactd.sources.managesieve import SieveServer, scripts
from tests.memory_archive import MemoryLedger, MemorySealer
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.onlooker import Sights, looking
from tests.recognition import of
from tests.test_corpus import policy_of

CORPUS = Path(__file__).parent / "corpus"
PROTECTED = "Authentication-Results: mx.home.example; dmarc=pass header.from=met.police.uk\r\n"
_users = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    with dovecot(sieve=True) as running:
        yield running


class Owner:
    """A mailbox with a rule on the server, and a daemon that looks when it is told to."""

    def __init__(self, server: Dovecot, policy: Policy, *listed: str, authserv_id: str = "", folder: str = "nocontact"):
        self.server, self.policy = server, policy
        self.user = f"owner{next(_users)}@home.example"
        self.sealer, self.ledger = MemorySealer(), MemoryLedger()
        self.reader = Reader((authserv_id,) if authserv_id else (), shipped.services())
        self._box = Mailbox(
            "home", host=server.host, port=server.port, user=self.user, security="none",
            password=lambda: server.password, reader=self.reader, filed=folder,
        )  # fmt: skip
        there = SieveServer("home", server.host, server.sieve_port, self.user, "none", None, token=False)
        with scripts(there, lambda: server.password) as session:
            entries = [rule(each) for each in listed]
            session.carry_out(server_rule.install(entries, self._box.placed(folder), session.standing()))

    def deliver(self, *letters: bytes, sender: str = "bounce@relay.example") -> None:
        with smtplib.LMTP(self.server.host, self.server.lmtp_port) as lmtp:
            for octets in letters:
                lmtp.sendmail(sender, [self.user], octets)

    def look(self) -> tuple[Exception, ...]:
        return poll(
            self._box, self.sealer, self.ledger, self.policy, lambda: datetime(2026, 11, 22, tzinfo=UTC)
        ).problems

    def everything(self) -> Sights:
        with looking(self.server, self.user) as onlooker:
            return onlooker.everything()

    def folders(self) -> dict[bytes, str]:
        """Where each message stands, by its octets."""
        return {sight.octets: folder for (folder, _, _), sight in self.everything().items()}

    def disposition(self, octets: bytes) -> Disposition:
        read = self.reader.of_message(octets)
        return of(read, self.policy).disposition

    def close(self) -> None:
        self._box.close()


def cases() -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Those of one list and one provider together."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for name in ("mail.jsonl", "own_mail.jsonl"):
        for case in map(json.loads, (CORPUS / name).read_text("utf-8").splitlines()):
            entries = json.dumps(case.get("entries"))
            groups.setdefault((case["listed"], entries, case.get("authserv_id", "")), []).append(case)
    return groups


def test_of_the_whole_corpus_what_may_pass_reaches_the_inbox_and_nothing_else_stands_there(server: Dovecot) -> None:
    filed, sealed, passed = 0, 0, 0
    for (listed, entries, authserv_id), group in cases().items():
        each = [rule(listed)] if entries == "null" else [rule(entry["entry"]) for entry in json.loads(entries)]
        owner = Owner(server, policy_of(group[0]), *(e.entry for e in each), authserv_id=authserv_id)
        owner.deliver(*(case["raw_message"].encode("latin-1") for case in group))
        stored = owner.folders()
        assert len(stored) == len(group), "a message was lost on its way"
        filed += list(stored.values()).count("nocontact")
        assert owner.look() == ()
        sealing = {octets for octets in stored if owner.disposition(octets) is Disposition.SEAL}
        assert {octets for _, octets, _ in owner.sealer.records.values()} == sealing
        assert owner.folders() == dict.fromkeys(stored.keys() - sealing, "INBOX")
        assert not [sight for sight in owner.everything().values() if sight.flags]
        sealed, passed = sealed + len(sealing), passed + len(stored) - len(sealing)
        owner.close()
    assert (filed > 80, sealed > 130, passed > 90) == (True, True, True)
