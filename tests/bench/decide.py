"""Deciding from raw headers, against `email.policy.default` with an address compare and against a bare `bytes.find`."""

import email
import email.policy
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from nocontactd import shipped
from nocontactd.decide import Policy, decide, policy, rule
from nocontactd.model import Channel, Disposition, Envelope, Kind, Rule
from nocontactd.reading import Reader
from tests.recognition import REF, THEN, verdict

MESSAGES = 2000
ROUNDS = 7
LISTED = "ex@abuser.example"
PEOPLE = [
    "anna.novak",
    "jan.meyer",
    "priya.khan",
    "tom.olsen",
    "lucia.rossi",
    "office",
    "newsletter",
    "service",
    "info",
]
HOSTS = ["friends.example", "shop.example", "council.example", "mail.example", "school.example", "bank.example"]
CORPUS = Path(__file__).parent.parent / "corpus" / "mail.jsonl"


def header(pick: random.Random) -> bytes:
    """A header of two kilobytes as they come: two hops, a signature, what the provider found, a spam filter's marks."""
    person, host = pick.choice(PEOPLE), pick.choice(HOSTS)
    address, token = f"{person}@{host}", pick.randbytes(24).hex()
    name = person.replace(".", " ").title()
    lines = [
        f"Return-Path: <bounces@{host}>",
        "Delivered-To: me@home.example",
        "Received: from mx2.home.example ([10.0.0.2]) by imap1.home.example with LMTP",
        f"\tid {token[:16]} (envelope-from <bounces@{host}>)",
        "\tfor <me@home.example>; Sun, 22 Nov 2026 05:00:02 +0000",
        f"Received: from out7.{host} (out7.{host} [192.0.2.7])",
        "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
        "\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)",
        f"\tby mx2.home.example (Postfix) with ESMTPS id {token[16:32]}",
        "\tfor <me@home.example>; Sun, 22 Nov 2026 05:00:01 +0000 (UTC)",
        f"Authentication-Results: mx2.home.example; dkim=pass header.d={host} header.s=s1 header.b={token[:8]};",
        f"\tspf=pass smtp.mailfrom=bounces@{host}; dmarc=pass (policy=reject) header.from={host}",
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={host}; s=s1; h=from:to:reply-to:subject:date;",
        *(f"\t{'b=' if n == 0 else ''}{token}{token}" for n in range(4)),
        "Date: Sun, 22 Nov 2026 05:00:00 +0000",
        f"From: {name} <{address}>",
        *([f"Reply-To: {name} <{address}>"] if pick.random() < 0.3 else []),
        "To: me@home.example",
        f"Message-ID: <{token}@{host}>",
        "Subject: What we spoke about",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{token}"',
        f"List-Unsubscribe: <https://{host}/u/{token}>",
        "X-Mailer: Mailer 1.2",
        "X-Spam-Status: No, score=-2.1 required=5.0 tests=DKIM_SIGNED,DKIM_VALID,DKIM_VALID_AU",
        "\tautolearn=ham autolearn_force=no version=4.0.0",
    ]
    return "\r\n".join((*lines, "", "")).encode()


def entries(how_many: int) -> list[Rule]:
    """Two addresses in four entries, some of them where ordinary people have theirs; a domain and a name."""
    made = [rule(LISTED)]
    for number in range(how_many - 1):
        host = HOSTS[number % len(HOSTS)] if number % 8 == 0 else f"host{number}.example"
        made.append(
            (
                Rule(Kind.ADDRESS, f"some.body{number}@{host}"),
                Rule(Kind.DOMAIN, f"@firm{number}.example"),
                Rule(Kind.ADDRESS, f"person{number}@{host}"),
                Rule(Kind.NAME, f"Some Q{number} Body"),
            )[number % 4]
        )
    return made


def ours(raw: bytes, rules: Policy, reader: Reader) -> bool:
    reading = reader.of_header(raw)
    proof, notice = reading.authentication, reading.notice
    seen = Envelope(REF, Channel.MAIL, reading.authors, THEN, authentication=proof, notice=notice)
    return decide(seen, rules).disposition is Disposition.SEAL


def by_the_standard_library(raw: bytes) -> bool:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    fields = (message[name] for name in ("From", "Sender", "Reply-To"))
    return any(each.addr_spec.lower() == LISTED for field in fields if field is not None for each in field.addresses)


def best(act: Callable[[], object]) -> float:
    def timed() -> float:
        began = time.process_time()
        act()
        return time.process_time() - began

    return min(timed() for _ in range(ROUNDS))


def made(how_many: int) -> Policy:
    return policy(entries(how_many), "GB", Disposition.PASS, 1000)


def main() -> int:
    pick = random.Random(5)
    raws = [header(pick) for _ in range(MESSAGES)]
    reader = Reader(catalogue=shipped.services())
    policies = {how_many: made(how_many) for how_many in (20, 500, 50_000)}
    costs = {
        f"ours, {how_many:,} entries": best(lambda rules=rules: [ours(raw, rules, reader) for raw in raws])
        for how_many, rules in policies.items()
    }
    first = costs["ours, 20 entries"]
    costs["email.policy.default"] = best(lambda: [by_the_standard_library(raw) for raw in raws[:200]]) * MESSAGES / 200
    costs["bytes.find"] = best(lambda: [raw.find(LISTED.encode()) for raw in raws])
    print(f"{'':<22}{'messages a second':>18}{'time, ours with 20 = 1':>24}")
    for name, cost in costs.items():
        print(f"{name:<22}{MESSAGES / cost:>18,.0f}{cost / first:>24.2f}")
    cases = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    worst = max((best(lambda c=case: of_corpus(c)), case["id"]) for case in cases)
    print(f"worst corpus case: {worst[0] * 1000:.0f} ms ({worst[1]})")
    began = time.process_time()
    made(50_000)
    print(f"50,000 entries are compiled in {time.process_time() - began:.1f} s")
    return 0


def of_corpus(case: dict[str, str]) -> None:
    verdict(case["raw_message"].encode("latin-1"), policy([rule(case["listed"])], None, Disposition.PASS, 1000))


if __name__ == "__main__":
    raise SystemExit(main())
