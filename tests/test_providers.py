"""The table of providers: whole, well-formed, and found by an address alone."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from nocontactd import config, providers
from nocontactd.config.hosts import host_problem, loopback
from nocontactd.providers import LOGINS, Provider, find, table

FILE = Path(providers.__file__).parent / "data/providers.toml"
ENTRIES = tomllib.loads(FILE.read_text())["provider"]


def test_there_are_enough_of_them() -> None:
    assert len([provider for provider in table() if provider.confirmed]) >= 15
    assert len({provider.name for provider in table()}) == len(table())


def test_no_domain_belongs_to_two() -> None:
    domains = [domain for provider in table() for domain in provider.domains]
    assert sorted(domains) == sorted(set(domains))
    assert [domain for domain in domains if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", domain)] == []


@pytest.mark.parametrize("provider", table(), ids=lambda provider: provider.name)
def test_each_says_how_one_logs_in_and_where_that_is_made(provider: Provider) -> None:
    assert provider.domains
    assert provider.login in LOGINS
    assert provider.page.startswith("https://")
    assert host_problem(provider.host) == ""
    assert (provider.login == "bridge") is loopback(provider.host)
    assert provider.security in ("tls", "starttls"), "no password goes out in plain text"
    assert (provider.login == "microsoft") is (provider.tenant is not None)
    assert provider.user in ("address", "local")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_each_says_where_it_was_read_and_when(entry: dict[str, object]) -> None:
    assert isinstance(entry["checked"], date)
    assert entry["source"]
    found = any(word in str(entry["source"]) for word in ("ispdb/", "deltachat/", "https://"))
    assert entry.get("confirmed", True) is found


@pytest.mark.parametrize("provider", table(), ids=lambda provider: provider.name)
def test_each_makes_a_configuration_that_loads(provider: Provider) -> None:
    text = f"""
blocked: [{{mail: [ex@abuser.example]}}]
mail:
  - {{source: home, host: {provider.host}, port: {provider.port}, security: {provider.security}, user: me}}
archive: {{path: /a}}
"""
    assert config.parse(text.encode(), "c.yaml").mail[0].host == provider.host


@pytest.mark.parametrize(
    ("mailbox", "name", "user"),
    [
        ("me@gmail.com", "Gmail", "me@gmail.com"),
        ("Me@GoogleMail.COM", "Gmail", "Me@GoogleMail.COM"),
        ("me@icloud.com", "iCloud", "me"),
        ("me@firm.onmicrosoft.com", "Microsoft 365", "me@firm.onmicrosoft.com"),
        ("me@web.de", "WEB.DE", "me"),
    ],
)
def test_an_address_is_enough(mailbox: str, name: str, user: str) -> None:
    provider = find(mailbox)
    assert provider
    assert (provider.name, provider.login_name(mailbox)) == (name, user)


@pytest.mark.parametrize("mailbox", ["me@notgmail.com", "me@gmail.com.abuser.example", "me@com", "me", "", "me@"])
def test_what_is_not_in_the_table_is_nobodys(mailbox: str) -> None:
    assert find(mailbox) is None
