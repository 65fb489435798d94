"""The passphrases of key holders: from files where one is given, else asked for unseen; never kept, never shown.

With a file given nothing is asked: an unattended call must end, not wait.
"""

import getpass
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

from nocontactd.archive.cards import as_typed
from nocontactd.cli import UsageError, unusable
from nocontactd.errors import CredentialError

HOLDERS = ("owner", "therapist", "witness")
_MOST_OCTETS = 64 * 1024
_ONE_LINE = "the file holds the passphrase as one line of text, as it would be typed"


@dataclass(frozen=True, slots=True)
class Passphrases:
    """What was given; None: that holder is not here."""

    owner: str | None
    therapist: str | None
    witness: str | None


def describe(parser: ArgumentParser, *whose: str) -> None:
    """An option for each of these holders, or for all."""
    for holder in whose or HOLDERS:
        option(parser, f"--{holder}-passphrase-file", f"{holder}'s passphrase")


def option(parser: ArgumentParser, flag: str, what: str) -> None:
    """An option that names the file of a secret."""
    words = f"read the {what} from F (one trailing newline is stripped) and ask nothing"
    parser.add_argument(flag, metavar="F", type=Path, help=words)


def from_files(args: Namespace) -> Passphrases | None:
    """None where no file was given, so that people are to be asked."""
    files: dict[str, Path | None] = {holder: getattr(args, f"{holder}_passphrase_file") for holder in HOLDERS}
    if not any(files.values()):
        return None
    return Passphrases(**{holder: read(file, f"{holder}'s passphrase") for holder, file in files.items()})


def read(file: Path | None, what: str) -> str | None:
    """What such an option names; None: it was not given. CredentialError, UsageError."""
    return None if file is None else _read(file, what)


def ask_card(prompt: str) -> str:
    """Ask for a card's words, however they are typed; a passphrase that is no card stays as it is."""
    return as_typed(ask(prompt))


def ask(prompt: str) -> str:
    """Ask on the terminal, unseen. CredentialError: there is no terminal."""
    try:
        with Path("/dev/tty").open("rb"):
            pass
    except OSError:
        raise CredentialError(
            "no passphrase was given, and there is no terminal to ask on; nothing was opened",
            "give files: --owner-passphrase-file F --therapist-passphrase-file F",
        ) from None
    try:
        return getpass.getpass(prompt)
    except (EOFError, UnicodeDecodeError):
        raise CredentialError("no passphrase was given; nothing was opened") from None


def _read(file: Path, what: str) -> str:
    try:
        with file.open("rb") as stream:
            octets = stream.read(_MOST_OCTETS + 1)
    except OSError as problem:
        raise CredentialError(f"the {what} cannot be read: {unusable(problem).message}", _ONE_LINE) from None
    if len(octets) > _MOST_OCTETS:
        raise UsageError(f"{file}: too long for a passphrase; nothing was opened or made", _ONE_LINE)
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialError(f"{file}: the {what} is not UTF-8; nothing was opened or made", _ONE_LINE) from None
    passphrase = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not passphrase:
        raise CredentialError(f"{file}: the {what} is empty; nothing was opened or made", _ONE_LINE)
    return passphrase
