"""`nocontact`, the owner's tool. Only the command that was asked for is imported; every error is printed here.

A command is a module with `describe(parser)` and `run(args) -> exit code`. It raises what goes
wrong; what a user can cause ends as `nocontact: error: …`, never as a traceback.
"""

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from nocontactd import __version__
from nocontactd.errors import ConfigError, NocontactError
from nocontactd.review.visible import visible

USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141
"""As the shell counts a process that SIGPIPE ended."""


class Command(NamedTuple):
    """One word after `nocontact`."""

    module: str
    line: str


COMMANDS = {
    "setup": Command("setup", "ask, store secrets, make the keys, write the configuration, install the service"),
    "login": Command("login", "log in with Microsoft, for a mailbox there that takes no password"),
    "check": Command("check", "is everything in order, on this machine and at each source? what is not covered?"),
    "explain": Command("explain", "what would happen to this message, and why; offline, stores nothing"),
    "plan": Command("plan", "look at every source and say what a first pass would do; change nothing"),
    "poll": Command("poll", "one pass over every source, now"),
    "status": Command("status", "healthy or not, and why not; no counts, no names"),
    "pending": Command("pending", "loosenings that are waiting"),
    "cancel": Command("pending", "withdraw a loosening that is waiting"),
    "keys": Command("keys", "make, rehearse, replace key holders; release days from elsewhere"),
    "verify": Command("verify", "is the archive whole and unaltered? needs no key"),
    "review": Command("review", "read what was sealed: owner and therapist together"),
    "rules": Command("rules", "the block list as a rule on the mail server: sieve or gmail"),
    "export": Command("export", "evidence for a lawyer: originals, proofs, an incident log, papers"),
    "demo": Command("demo", "the whole story on a mailbox of its own, nothing to set up"),
}


class UsageError(NocontactError):
    """The command line cannot be carried out as it stands."""

    exit_code = USAGE


class Parser(argparse.ArgumentParser):
    """argparse, with its complaints in this tool's form."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line; the exit code."""
    _never_fail_to_print()
    try:
        code = _dispatch(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except NocontactError as problem:
        return complain(problem)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = io.StringIO()  # or the interpreter flushes into the closed pipe again at its end
        return PIPE_CLOSED
    except OSError as problem:
        return complain(unusable(problem))


def complain(problem: Exception) -> int:
    """Print one problem, and what to do about it; its exit code."""
    if not isinstance(problem, NocontactError):
        raise problem
    sys.stdout.flush()
    for line in problem.problems if isinstance(problem, ConfigError) else problem.message.splitlines():
        print(f"nocontact: error: {visible(line)}", file=sys.stderr)
    if problem.hint:
        print(f"nocontact: hint: {visible(problem.hint)}", file=sys.stderr)
    return problem.exit_code


def unusable(problem: OSError) -> NocontactError:
    """What the operating system refused, in this tool's form."""
    reason = (problem.strerror or "it cannot be used").lower()
    place = f"{os.fsdecode(problem.filename)}: " if problem.filename else ""
    if isinstance(problem, PermissionError):
        return NocontactError(f"{place}{reason}; nothing was done", as_service_user())
    return NocontactError(f"{place}{reason}; nothing was done")


def as_service_user(user: str = "nocontactd") -> str:
    """How to run this tool where the state belongs to the daemon's own user."""
    words = shlex.join(["nocontact", *sys.argv[1:]]) if Path(sys.argv[0]).name == "nocontact" else "nocontact …"
    return f"where the daemon has a user of its own: sudo -u {shlex.quote(user)} {words}"


def _dispatch(argv: list[str]) -> int:
    args = _outer().parse_args(argv)
    if args.command is None:
        raise UsageError("no command was given", "see `nocontact --help`")
    if args.command not in COMMANDS:
        raise UsageError(f"there is no command `{args.command}`", "see `nocontact --help`")
    command = COMMANDS[args.command]
    module = import_module(f"nocontactd.cli.{command.module}")
    inner = Parser(
        prog=f"nocontact {args.command}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _common(inner)
    module.describe(inner)
    chosen = inner.parse_args(args.rest, argparse.Namespace(config=args.config, command=args.command))
    code: int = module.run(chosen)
    return code


def _outer() -> Parser:
    width = max(map(len, COMMANDS)) + 2
    parser = Parser(
        prog="nocontact",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="nocontact [--config FILE] COMMAND …",
        description="Keeps a cut contact cut. The daemon `nocontactd` does the work; this is its owner's tool.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}{command.line}" for name, command in COMMANDS.items())
        + "\n\n`nocontact COMMAND --help` says more about one. Exit codes: 0 fine, 1 a problem was found,\n"
        "2 usage, 65 damaged archive, 73 the archive cannot be written, 75 try again later,\n"
        "77 refused login, wrong passphrase or missing secret, 78 bad configuration or no keys yet.",
    )
    parser.add_argument("--version", action="version", version=f"nocontact {__version__}")
    _common(parser)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the configuration; else NOCONTACT_CONFIG, $XDG_CONFIG_HOME/nocontactd/config.yaml, "
        "/etc/nocontactd/config.yaml",
    )


def _never_fail_to_print() -> None:
    """A terminal of another encoding gets an escape instead of a UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
