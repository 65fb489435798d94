"""Logs a mailbox in with Microsoft: the owner types a code into a browser; what is shown here opens nothing by itself.

The configuration is read as the file says, not as it is in force: whoever sets up a login may not
have started the daemon yet.
"""

import os
from argparse import ArgumentParser, Namespace

from nocontactd import config
from nocontactd.assemble import account
from nocontactd.cli import UsageError, situation
from nocontactd.review.visible import visible
from nocontactd.sources.microsoft import Invitation

HELP = """\
Log the mailbox SOURCE in with Microsoft, which takes no password for IMAP. The configuration names
the owner's own registration (`microsoft:`); a code is shown here, to be typed in a browser on any
machine. What comes back is kept in the state, sealed with a key that lies elsewhere where it can
(a systemd credential named for the source, else the keyring, else a file beside it), and is
renewed by the daemon. Run it again whenever Microsoft has withdrawn the login.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)
    parser.add_argument("source", metavar="SOURCE", help="the mail source, as the configuration names it")


def run(args: Namespace) -> int:
    said = config.load(situation.config_file(args))
    place = situation.place(args)
    section = next((mail for mail in said.mail if mail.name == args.source), None)
    if section is None:
        raise UsageError("there is no mail source of this name in the configuration; nobody was logged in")
    if section.secret.microsoft is None:
        raise UsageError(
            f"{section.name}: there is no `microsoft:` at this source; nobody was logged in",
            "other providers take an app password: see password_file in config.example.yaml",
        )
    account(section, section.secret.microsoft, place, os.environ).log_in(_show)
    print(visible(f"{section.name}: logged in; `nocontact check` tries the mailbox"))
    return 0


def _show(invitation: Invitation) -> None:
    print(visible(f"Open this page in a browser, on any device:  {invitation.address}"))
    print(visible(f"and type this code there:                    {invitation.code}"), flush=True)
    print(f"Waiting, for {invitation.minutes} minutes at most; Ctrl-C ends it.", flush=True)
