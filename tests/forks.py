"""Runs tests in forks of itself, for which the libraries are imported already, and the project and its tests are not.

A line of JSON, the words for pytest, brings one of JSON: its exit code, and what it printed.
"""

import importlib
import json
import os
import sys
import tempfile
from contextlib import suppress

import pytest

LIBRARIES = (
    *(
        "apscheduler.schedulers.background",
        "cryptography.x509",
        "hypothesis.strategies",
        "idna",
        "imapclient",
        "keyring",
    ),
    *("phonenumbers", "pyrage", "sqlite3", "ssl", "twilio.rest", "yaml"),
)
"""Those that take long to import. Of what has to be seen to be imported, as by tests of start-up, none is here."""


def main() -> None:
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(outcome(json.loads(line))), flush=True)


def outcome(words: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if not child:
            for stream in (1, 2):
                os.dup2(printed.fileno(), stream)
            code = pytest.main(words)
            sys.stdout.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed.seek(0)
        return code, printed.read().decode(errors="replace")


if __name__ == "__main__":
    main()
