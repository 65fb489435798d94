"""The owner's tool in a process of its own that costs no start: forked off a server that has imported everything."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.forked_preload"])


def start(
    words: Sequence[str], environ: Mapping[str, str], folder: Path, *, stopped: bool = False
) -> ForkServerProcess:
    """Start `nocontact` with these words; what it prints goes to `folder/said`. Its `pid` may be killed.

    `stopped`: it waits for SIGCONT before its first step, so that a tracer can take hold of it.
    """
    process = CONTEXT.Process(target=_run, args=(tuple(words), dict(environ), str(folder), stopped))
    process.start()
    return process


def finish(process: ForkServerProcess, seconds: float = 60.0) -> int:
    """Its exit code; -9 for a process that was killed."""
    process.join(seconds)
    assert process.exitcode is not None, "it did not end"
    return process.exitcode


def _run(words: tuple[str, ...], environ: dict[str, str], folder: str, stopped: bool) -> None:
    from nocontactd.cli import main

    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    with (Path(folder) / "said").open("ab") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.argv = ["nocontact", *words]
    if stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    code = main(list(words))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
