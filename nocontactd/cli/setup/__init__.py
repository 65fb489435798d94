"""Sets everything up: asks, tries, keeps the secrets, writes the configuration, makes the keys, installs the unit.

Each step looks first whether it is done. So a second run goes on where the first one ended, and no
configuration, secret or key that is there is ever replaced.
"""

import os
import shlex
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from nocontactd import config, credentials
from nocontactd.cli import passphrases, situation
from nocontactd.cli.setup import place as places
from nocontactd.cli.setup import unit
from nocontactd.cli.setup.answers import Answers, gather
from nocontactd.cli.setup.place import Place, nocontact, prepare, put
from nocontactd.cli.setup.questions import Questions
from nocontactd.config import Config, Secret
from nocontactd.config.written import written
from nocontactd.errors import CredentialError, NocontactError
from nocontactd.review.visible import visible

HELP = """\
Set everything up: a mailbox and, if there is one, a number at Twilio, whom to block, the archive,
its keys, and the service that keeps it going. Each login is tried before the next question. A second
run goes on where the first one ended; no configuration, secret or key that is there is replaced.

Run by root it serves the machine, with a user of its own (recommended); else it is your own.

With --address nothing is asked: the rest comes from the options, or is the usual. The keys then
need their passphrase files, or are made afterwards with `nocontact keys init`.
"""
KEPT_IN_FILE = (
    "{source}: the secret lies in {file}, which {user} alone can read (0600);",
    "whoever has a copy of that file can log in",
)


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    mail = parser.add_argument_group("the mailbox")
    mail.add_argument("--address", metavar="ADDRESS", help="your mail address; with it nothing is asked")
    mail.add_argument("--host", metavar="HOST", help="its IMAP server, where the provider is not known")
    mail.add_argument("--port", metavar="N", help="its port")
    mail.add_argument("--security", metavar="WORD", help="tls, starttls, or none (to this machine only)")
    mail.add_argument("--ca-file", metavar="F", type=Path, help="certificates to trust instead of the system's")
    mail.add_argument("--user", metavar="NAME", help="the login name, where it is not the address")
    mail.add_argument("--source", metavar="WORD", help="a word of your own for this mailbox (home)")
    mail.add_argument("--password-file", metavar="F", type=Path, help="read the password from F and keep it")
    mail.add_argument("--password-command", metavar="COMMAND", help="a command that prints the password each time")
    mail.add_argument("--token-command", metavar="COMMAND", help="a command that prints an OAuth access token")
    mail.add_argument("--microsoft-client-id", metavar="ID", help="your own registration, for a login with Microsoft")
    mail.add_argument("--tenant", metavar="WORD", help="consumers, organizations, common, or a directory's id")
    mail.add_argument("--authority", metavar="URL", help="another identity provider; for tests")
    block = parser.add_argument_group("whom to block")
    block.add_argument("--person", metavar="LABEL", help="a label of your own; never logged")
    block.add_argument("--block", metavar="ENTRY", action="append", help="an address, @domain, number or name")
    block.add_argument("--region", metavar="CC", type=str.upper, help="the country of numbers written without one")
    phone = parser.add_argument_group("a number at Twilio")
    phone.add_argument("--twilio-account", metavar="SID", help="the account")
    phone.add_argument("--twilio-number", metavar="NUMBER", help="the number")
    phone.add_argument("--twilio-token-file", metavar="F", type=Path, help="read the auth token from F and keep it")
    phone.add_argument("--relay-to", metavar="NUMBER", help="your own telephone, for everybody else's texts")
    phone.add_argument("--api-base", metavar="URL", help="another address of the API; for tests")
    rest = parser.add_argument_group("the rest")
    rest.add_argument("--archive", metavar="DIR", help="where the archive is to lie")
    rest.add_argument("--delay", metavar="DURATION", help="how long loosenings wait (7 days)")
    rest.add_argument("--no-unit", action="store_true", help="install no service, and add no user")
    passphrases.describe(parser)


def run(args: Namespace) -> int:
    with_unit = unit.BOOTED.is_dir() and not args.no_unit
    root = os.geteuid() == 0
    place = places.system(args.config) if root and with_unit else places.own(args.config, os.environ)
    if with_unit:
        unit.look(place)
    ask = Questions(unattended=args.address is not None)
    said = _configuration(args, place, ask)
    for step in (_keys, _logins):
        if code := step(said, place, args):
            print("This step is not done; run `nocontact setup` again to go on from here.")
            return code
    return _service(said, place, with_unit)


def _configuration(args: Namespace, place: Place, ask: Questions) -> Config:
    """What is there, else what the owner answers."""
    if place.config.exists():
        print(visible(f"{place.config}: is there, and stays as it is"))
        return config.load(place.config)
    if not ask.unattended:
        print("Nothing is written before you have answered everything. Ctrl-C ends it.\n")
    answers = gather(args, place, ask)
    name = str(place.config)
    config.parse(written(answers.config).encode(), name)  # every answer together, before anything is kept
    prepare(place)
    text = written(_with_secrets(answers, place))
    config.parse(text.encode(), name)
    put(place, place.config, text, secret=False)
    print(visible(f"wrote {place.config}"))
    return config.load(place.config)


def _with_secrets(answers: Answers, place: Place) -> Config:
    """Keep each secret, and say in the configuration where that is."""

    def kept(name: str, secret: Secret) -> Secret:
        given = answers.secrets.get(name)
        return secret if given is None else Secret(file=_keep(name, given, place))

    said = answers.config
    return replace(
        said,
        mail=tuple(replace(source, secret=kept(source.name, source.secret)) for source in said.mail),
        phone=tuple(replace(source, secret=kept(source.name, source.secret)) for source in said.phone),
    )


def _keep(source: str, secret: str, place: Place) -> Path | None:
    """In the keyring (None), else in a file, and which; what is there of another content stays, and ends it."""
    if place.user is None and _in_keyring(source, secret):
        print(visible(f"{source}: the secret is in your keyring; the daemon can log in while that is unlocked"))
        return None
    file = place.config.parent / f"{source}.password"
    if not file.exists():
        put(place, file, secret + "\n", secret=True)
    elif file.read_text(encoding="utf-8").rstrip("\n") != secret:
        raise CredentialError(
            f"{file}: holds another secret already; it was left as it is, and nothing was set up",
            "move it away, or name the source otherwise: --source WORD",
        )
    for line in KEPT_IN_FILE:
        print(visible(line.format(source=source, file=file, user=place.user or "you")))
    return file


def _in_keyring(source: str, secret: str) -> bool:
    """Whether it is there now, and was read back. CredentialError: another one is, and stays."""
    try:
        found = credentials.kept(source, os.environ)
        if found is None:
            credentials.store(source, secret, environment=os.environ)
            return True
    except CredentialError:
        return False  # no keyring, a locked one, or one that forgets: then a file
    if found != secret:
        raise CredentialError(
            f"{source}: the keyring has another secret of this name; it was left as it is, and nothing was set up",
            f"keyring del {credentials.SERVICE} {shlex.quote(source)}, or name the source otherwise: --source WORD",
        )
    return True


def _keys(said: Config, place: Place, args: Namespace) -> int:
    if (said.archive / "archive.json").exists():
        print(visible(f"{said.archive}: has its keys"))
        return 0
    if place.user is not None and said.archive.parent != place.state:
        said.archive.mkdir(mode=0o700, parents=True, exist_ok=True)
        places.hand_over(said.archive, place.user)
    words = ["keys", "init"]
    for holder in passphrases.HOLDERS:
        file = getattr(args, f"{holder}_passphrase_file")
        words += [f"--{holder}-passphrase-file", str(file.absolute())] if file else []
    return nocontact(place, *words)


def _logins(said: Config, place: Place, args: Namespace) -> int:
    """A login in the browser, where one is needed and somebody is there."""
    for source in said.mail:
        if source.secret.microsoft is None:
            continue
        if args.address is not None:
            print(visible(f"{source.name}: now log in: {credentials.log_in_again(source.name)}"))
        elif code := nocontact(place, "login", source.name):
            return code
    return 0


def _service(said: Config, place: Place, with_unit: bool) -> int:
    """Started for good, or how to; and whether everything is in order."""
    if with_unit:
        print(visible(f"{unit.install(place, said.archive, os.environ)}: runs now, and at each start of the machine"))
        return nocontact(place, "check")
    code = nocontact(place, "check")
    command = shlex.join([str(unit.program()), "--config", str(place.config)])
    print("\nEverything is set up. No service was installed; start it with whatever starts yours:")
    print(visible(f"  {command}"))
    return 0 if code == NocontactError.exit_code else code  # that it is not running yet is no fault
