"""Every line of the contact-evasion corpus, mail and texts, gets its disposition, in under two seconds."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.recognition import blocked, text_verdict, verdict

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


@pytest.mark.parametrize("case", cases("sms.jsonl"))
def test_a_text_gets_its_disposition(case: dict[str, Any]) -> None:
    began = time.monotonic()
    found = text_verdict(case["message"]["from"], blocked(case["listed"], sms=True, region=case["region"]))
    assert (found.disposition, case["why"]) == (case["expected"], case["why"])
    assert time.monotonic() - began < 2
