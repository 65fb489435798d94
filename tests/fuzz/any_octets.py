"""Invariant: any octets, taken for a message or for the sender of a text, come to a verdict, in linear time.

`python -m tests.fuzz.any_octets [libFuzzer's options] [FOLDER of examples]`; needs atheris.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["nocontactd"]):
    from nocontactd.decide import Reason
    from nocontactd.model import Kind, Rule
    from tests.recognition import blocked, text_verdict, verdict

SECONDS = 2.0
"""For a message of `SHORT` octets or fewer; instrumented code is several times as slow."""
SHORT = 20_000
RULES = blocked(
    Rule(Kind.ADDRESS, "ex@abuser.example"),
    Rule(Kind.ADDRESS, "alex.example@gmail.com"),
    Rule(Kind.DOMAIN, "@bücher.example"),
    Rule(Kind.NUMBER, "+447700900123"),
    Rule(Kind.NAME, "Alex Example"),
    Rule(Kind.HANDLE, "instagram:alex"),
    region="GB",
)


def one(octets: bytes) -> None:
    began = time.process_time()
    if octets[:1] == b"\0":
        found = text_verdict(octets[1:40].decode("utf-8", "replace"), RULES, octets[40:].decode("utf-8", "replace"))
    else:
        found = verdict(octets, RULES)
    assert found.reason in set(Reason)
    assert len(octets) > SHORT or time.process_time() - began < SECONDS


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
