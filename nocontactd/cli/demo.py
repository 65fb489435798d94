"""The whole story, told by `nocontactd.demo`; nothing of the owner's is read or touched."""

from argparse import ArgumentParser, Namespace
from importlib import import_module

from nocontactd.cli import situation
from nocontactd.errors import NocontactError

HELP = """\
Tell the whole story in a few seconds, with the real daemon, on a mailbox and a number of its own
on this machine. Nothing has to be set up, nothing of yours is read, and nothing is left behind.
"""


def describe(parser: ArgumentParser) -> None:
    situation.text(parser, HELP)


def run(_args: Namespace) -> int:
    try:
        story = import_module("nocontactd.demo.story")
    except ModuleNotFoundError as problem:
        if not (problem.name or "").startswith(("pymap", "pysasl")):
            raise
        raise NocontactError(
            "the demonstration needs an IMAP server of its own; nothing was done", "pip install 'nocontactd[demo]'"
        ) from None
    code: int = story.main()
    return code
