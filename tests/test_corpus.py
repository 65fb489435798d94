"""Every line of the contact-evasion corpus, mail and texts, gets its disposition, in under two seconds."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from nocontactd import shipped
from nocontactd.decide import Policy, policy, rule
from nocontactd.model import Disposition, Kind, Rule
from nocontactd.reading import Reader
from tests.recognition import blocked, of, text_verdict, verdict

CORPUS = Path(__file__).parent / "corpus"


def cases(name: str) -> list[Any]:
    lines = (CORPUS / name).read_text("utf-8").splitlines()
    return [pytest.param(case := json.loads(line), id=case["id"]) for line in lines]


@pytest.mark.parametrize("case", cases("mail.jsonl"))
def test_mail_gets_its_disposition(case: dict[str, Any]) -> None:
    began = time.monotonic()
    found = verdict(case["raw_message"].encode("latin-1"), blocked(case["listed"]))
    assert (found.disposition, case["why"]) == (case["expected"], case["why"])
    assert time.monotonic() - began < 2
    assert found.rule == (None if case["expected"] == "pass" else case["listed"])


def policy_of(case: dict[str, Any]) -> Policy:
    """`entries`, where one `listed` address or domain is not enough; protected senders as they are shipped."""
    said = case.get("entries")
    rules = [Rule(Kind(each["kind"]), each["entry"]) for each in said] if said else [rule(case["listed"])]
    return policy(rules, None, Disposition.PASS, 1000, shipped.protected())


@pytest.mark.parametrize("case", cases("own_mail.jsonl"))
def test_our_own_cases_get_their_disposition(case: dict[str, Any]) -> None:
    """With `authserv_id`: as the owner's provider would have signed it."""
    ids = (case["authserv_id"],) if "authserv_id" in case else ()
    reader = Reader(ids, shipped.services(), offline=True)
    found = of(reader.of_message(case["raw_message"].encode("latin-1")), policy_of(case))
    assert (found.disposition, case["why"]) == (case["expected"], case["why"])
    assert found.rule == (None if case["expected"] == "pass" else case["listed"])


def test_at_least_one_of_our_own_cases_passes_for_every_two_that_do_not() -> None:
    expected = [json.loads(line)["expected"] for line in (CORPUS / "own_mail.jsonl").read_text("utf-8").splitlines()]
    assert len(expected) >= 90 and expected.count("seal") <= 2 * expected.count("pass")


@pytest.mark.parametrize("case", cases("sms.jsonl"))
def test_a_text_gets_its_disposition(case: dict[str, Any]) -> None:
    began = time.monotonic()
    found = text_verdict(case["message"]["from"], blocked(case["listed"], sms=True, region=case["region"]))
    assert (found.disposition, case["why"]) == (case["expected"], case["why"])
    assert time.monotonic() - began < 2
