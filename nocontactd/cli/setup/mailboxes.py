"""The mailboxes of the owner: what the address tells by itself is not asked, and each lets us in before the next."""

import os
from argparse import Namespace

from nocontactd import providers
from nocontactd.assemble import mailbox
from nocontactd.cli.setup.questions import Questions
from nocontactd.cli.setup.trial import but, lets_in, secret_of
from nocontactd.config import MailSource, Microsoft, Secret
from nocontactd.config.entries import mail_problem
from nocontactd.config.hosts import host_problem, loopback
from nocontactd.config.schema import EVERY, PORTS, guid_problem, label_problem, tenant_problem
from nocontactd.config.sections import MICROSOFT
from nocontactd.credentials import secret as obtained
from nocontactd.providers import Provider

REGISTER = """\
{name} takes no password here: you log in with Microsoft in a browser, by a registration of your own.
How to make one, once and free of charge: docs/MICROSOFT.md."""
MAILBOX = (
    *("host", "port", "security", "ca_file", "user", "source", "password_file", "password_command", "token_command"),
    *("microsoft_client_id", "tenant"),
)
"""The options of one mailbox: the next one, or the same after a refusal, is asked for without them."""


def mailboxes(args: Namespace, ask: Questions) -> tuple[tuple[MailSource, ...], dict[str, str]]:
    """At least one, and the secrets of those that need one kept."""
    found: dict[str, MailSource] = {}
    secrets: dict[str, str] = {}
    while not found or ask.yes("Another mailbox?"):
        section, secret = _mailbox(args, ask, tuple(found))
        found[section.name] = section
        if secret is not None:
            secrets[section.name] = secret
        args = but(args, *MAILBOX)
    return tuple(found.values()), secrets


def _mailbox(args: Namespace, ask: Questions, taken: tuple[str, ...]) -> tuple[MailSource, str | None]:
    """A mailbox that lets us in."""
    while True:
        section = _section(args, ask, taken)
        if section.secret.microsoft:
            return section, None
        commanded = section.secret.command or section.secret.token_command
        if commanded:
            found = obtained(section.name, section.user, section.secret, environment=os.environ)
        else:
            found = secret_of(section.name, "--password-file", args.password_file, f"Password of {section.user}", ask)
        source = mailbox(section, lambda secret=found: secret)  # type: ignore[misc]  # bound now, not at the call
        if lets_in(source, ask):
            return section, None if commanded else found
        args = but(args, *MAILBOX)


def _section(args: Namespace, ask: Questions, taken: tuple[str, ...]) -> MailSource:
    address = ask.line("--address", args.address, "Your mail address", check=_address)
    provider = None if args.host else providers.find(address)
    if provider:
        _introduce(provider)
    secret = _way(args, ask, provider)
    host, port, security = _server(args, ask, provider)
    user = ask.line("--user", args.user, "Login name", provider.login_name(address) if provider else address)
    return MailSource(
        name=_label(args, ask, taken),
        host=host,
        user=user,
        port=port,
        security=security,
        folders=None,
        never_touch=(),
        every=EVERY,
        ca_file=args.ca_file and args.ca_file.absolute(),
        authserv_id=provider.authserv_id if provider else None,
        secret=secret,
    )


def _label(args: Namespace, ask: Questions, taken: tuple[str, ...]) -> str:
    def check(said: str) -> str:
        return "another mailbox has this name" if said in taken else label_problem(said)

    usual = None if taken else "home"
    return ask.line("--source", args.source, "A word for this mailbox; it stands in the journal", usual, check)


def _way(args: Namespace, ask: Questions, provider: Provider | None) -> Secret:
    """How one logs in, as far as the configuration says it."""
    if args.password_command or args.token_command:
        return Secret(command=args.password_command, token_command=args.token_command)
    if not args.microsoft_client_id and not (provider and provider.login == "microsoft"):
        return Secret()
    client = ask.line(
        "--microsoft-client-id", args.microsoft_client_id, "The id of your registration", check=guid_problem
    )
    usual = (provider and provider.tenant) or "common"
    tenant = ask.line("--tenant", args.tenant, "Its tenant", usual, tenant_problem)
    return Secret(microsoft=Microsoft(client, tenant, args.authority or MICROSOFT))


def _introduce(provider: Provider) -> None:
    print(f"{provider.name}.")
    if provider.login == "microsoft":
        print(REGISTER.format(name=provider.name))
    elif provider.login == "app password":
        print(f"It wants a password made for a mail program, an app password. Make one here: {provider.page}")
    elif provider.login == "bridge":
        print(f"Its bridge must run on this machine, and its certificate be named by --ca-file: {provider.page}")
    else:
        print(f"IMAP may have to be switched on first, or want a password of its own: {provider.page}")


def _server(args: Namespace, ask: Questions, provider: Provider | None) -> tuple[str, int, str]:
    if provider:
        return provider.host, provider.port, provider.security
    host = ask.line("--host", args.host, "The IMAP server of this mailbox", check=host_problem)
    security = ask.line(
        "--security", args.security, "tls, starttls, or none", "tls", lambda said: _security(said, host)
    )
    port = ask.line("--port", args.port, "Port", str(PORTS[security]), _port)
    return host, int(port), security


def _security(said: str, host: str) -> str:
    if said == "none" and not loopback(host):
        return "`none` is allowed to this machine only; use tls or starttls"
    return "" if said in PORTS else "one of: tls, starttls, none"


def _port(text: str) -> str:
    return "" if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else "a port is a number from 1 to 65535"


def _address(text: str) -> str:
    return mail_problem(text) if "@" in text.strip("@") else "this is no mail address"
