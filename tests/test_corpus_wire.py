"""The corpus as it comes from a mail server: delivered into a Dovecot mailbox, polled, decided, sealed.

The whole-header way of what is new and the fields alone of a large backlog must come to what the
octets come to; so must what is sealed. What the server itself alters is named here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nocontactd.decide import decide, policy, rule
from nocontactd.ledger import SqliteLedger
from nocontactd.model import Disposition, Envelope
from nocontactd.poll import poll
from nocontactd.ports import Concerns
from nocontactd.reading import Reader
from nocontactd.sources.imap import Mailbox
from tests.archive_fixture import Made, made_archive
from tests.looking import everybody, look_at
from tests.peers.dovecot import Dovecot, dovecot
from tests.peers.imap_proxy import imap_proxy
from tests.peers.onlooker import looking
from tests.recognition import READER, verdict
from tests.test_corpus import policy_of

__all__ = ["made_archive"]

CORPUS = Path(__file__).parent / "corpus"
CASES: dict[str, Any] = {
    case["id"]: case
    for name in ("mail.jsonl", "own_mail.jsonl")
    for case in map(json.loads, (CORPUS / name).read_text("utf-8").splitlines())
}
ALTERED = {
    "plain-lf": "Dovecot gives every line its CR LF",
    "broken-nul-line": "Dovecot stores no NUL, and puts 0x80 in its place",
}

LOST_IN_A_BACKLOG = {
    "multi-leading-space": "Dovecot gives no first line that begins with a space among HEADER.FIELDS; in HEADER it does"
}
"""Not altered, but not given: above `backlog` older messages only (docs/KNOWN-ISSUES.md)."""


@dataclass(frozen=True)
class Delivered:
    """The mailbox with every case, and which stands where."""

    server: Dovecot
    places: dict[str, str]
    """By UID the case."""
    stored: dict[str, bytes]
    """Of each case the octets that the server gives back."""

    def mailbox(self, backlog: int, port: int = 0, reader: Reader = READER) -> Mailbox:
        server = self.server
        return Mailbox(
            "home", host=server.host, port=port or server.port, user=server.user, security="none",
            password=lambda: server.password, folders=("INBOX",), backlog=backlog, reader=reader,
        )  # fmt: skip

    def envelopes(
        self,
        backlog: int,
        port: int = 0,
        reader: Reader = READER,
        concerns: Concerns = everybody,
    ) -> dict[str, Envelope]:
        """One look."""
        mailbox = self.mailbox(backlog, port, reader)
        found = {self.places[each.ref.uid]: each for each in look_at(mailbox, {}, concerns=concerns)[0]}
        mailbox.close()
        return found

    def wrong(self, backlog: int) -> set[str]:
        """The cases that do not get their disposition, each as the owner's provider in it would have signed it."""
        return {name for group in _by_policy().values() for name in self._wrong(group, backlog)}

    def _wrong(self, group: Sequence[str], backlog: int) -> Iterator[str]:
        case = CASES[group[0]]
        rules, id_ = policy_of(case), case.get("authserv_id")
        reader = replace(READER, authserv_ids=(id_,) if id_ else ())
        seen = self.envelopes(backlog, reader=reader, concerns=rules.concerns)
        for name in group:
            disposition = decide(seen[name], rules).disposition if name in seen else Disposition.PASS
            if disposition != CASES[name]["expected"]:
                yield name


def _by_policy() -> dict[tuple[str, str | None], list[str]]:
    """The cases that one look can judge together."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for name, case in CASES.items():
        groups.setdefault((policy_of(case).digest, case.get("authserv_id")), []).append(name)
    return groups


@pytest.fixture(scope="module")
def delivered() -> Iterator[Delivered]:
    with dovecot() as server, looking(server) as onlooker:
        places = {
            str(onlooker.put_exactly(case["raw_message"].encode("latin-1"))): name for name, case in CASES.items()
        }
        stored = {places[str(uid)]: sight.octets for (_, _, uid), sight in onlooker.everything().items()}
        yield Delivered(server, places, stored)


def test_every_case_is_delivered_and_those_that_the_server_alters_are_known(delivered: Delivered) -> None:
    given = {name: case["raw_message"].encode("latin-1") for name, case in CASES.items()}
    assert set(delivered.stored) == set(given)
    assert {name for name, octets in given.items() if delivered.stored[name] != octets} == set(ALTERED)


@pytest.mark.parametrize(
    ("backlog", "lost"), [(1_000_000, {}), (0, LOST_IN_A_BACKLOG)], ids=["whole headers", "author fields"]
)
def test_every_case_gets_its_disposition_from_the_wire(
    delivered: Delivered, backlog: int, lost: dict[str, str]
) -> None:
    assert delivered.wrong(backlog) == set(lost)


@pytest.mark.parametrize("backlog", [1_000_000, 0], ids=["whole headers", "author fields"])
def test_to_look_at_every_case_no_command_is_sent_but_those_that_read_headers_and_calendars(
    delivered: Delivered, backlog: int
) -> None:
    with imap_proxy(delivered.server.host, delivered.server.port) as proxy:
        assert len(delivered.envelopes(backlog, proxy.port)) == len(CASES)
    words = Counter(re.findall(r"EXAMINE|SELECT|STORE|COPY|MOVE|EXPUNGE|FETCH|CLOSE", b"".join(proxy.lines).decode()))
    assert set(words) == {"EXAMINE", "FETCH"}
    fetched = [line.decode() for line in proxy.lines if b"FETCH" in line]
    allowed = r"\S+ UID FETCH [\d,]+ \(UID(( RFC822.SIZE INTERNALDATE)? BODY.PEEK\[HEADER.*\]<.*>| BODYSTRUCTURE)\)\s*"
    section = r"\S+ UID FETCH [\d,]+ \(UID BODY.PEEK\[[\d.]+\]<0.\d+>\)\s*"
    assert [line for line in fetched if not re.fullmatch(f"{allowed}|{section}", line)] == []


def test_what_is_to_be_sealed_is_sealed_in_one_run_and_nothing_else_is_gone(
    delivered: Delivered, made_archive: Made, tmp_path: Path
) -> None:
    """The lists of all cases at once, so that more is listed than in each alone."""
    listed = {case["listed"] for case in CASES.values() if "entries" not in case}
    rules = policy(map(rule, sorted(listed)), None, Disposition.SEAL, 1_000)
    sealed = {name: octets for name, octets in delivered.stored.items() if rules.seals(verdict(octets, rules))}
    ledger, mailbox, archive = SqliteLedger(tmp_path / "ledger"), delivered.mailbox(1_000_000), made_archive.sealer()
    report = poll(mailbox, archive, ledger, rules, lambda: datetime.now(UTC))
    assert report.problems == ()
    assert report.matches == len(sealed)
    opened = Counter(each.original for each in made_archive.opened() if each.kind == "message")
    assert opened == Counter(sealed.values())
    left = delivered.envelopes(1_000_000)
    assert set(left) == set(CASES) - set(sealed)
    again = poll(mailbox, archive, ledger, replace(rules, digest="another"), lambda: datetime.now(UTC))
    assert (again.matches, again.problems) == (0, ())
    for thing in (mailbox, archive):
        thing.close()
    ledger.disconnect()
