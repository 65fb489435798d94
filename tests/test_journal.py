"""The journal: this program's lines, and nothing that a library or a traceback would say."""

import os
import subprocess
import sys

SPEAK = """\
import logging, os, sys, threading, warnings
from nocontactd.journal import log, open_journal
open_journal(os.environ)
log.warning("home: a folder was not looked through")
log.debug("home: looked")
logging.getLogger("twilio.http_client").error("canary")
logging.getLogger("imapclient").setLevel("DEBUG")
logging.getLogger("imapclient").debug("canary")
logging.warning("canary")
warnings.warn("canary")
try:
    raise ValueError("canary")
except ValueError:
    log.exception("home: it failed")
thread = threading.Thread(target=lambda: {}["canary"])
thread.start()
thread.join()
raise KeyError("canary")
"""


def speak(**environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SPEAK],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": os.environ["PATH"], **environ},
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_only_this_program_speaks_and_errors_are_told_by_kind() -> None:
    assert speak() == [
        "home: a folder was not looked through",
        "home: it failed",
        "an error of this program (KeyError at elsewhere)",
        "an error of this program (KeyError at elsewhere)",
    ]


def test_the_level_is_the_environment_s_and_nonsense_is_no_level() -> None:
    assert "home: looked" in speak(NOCONTACT_LOG="debug")
    assert "home: a folder was not looked through" not in speak(NOCONTACT_LOG="ERROR")
    assert "home: looked" not in speak(NOCONTACT_LOG="nonsense")


def test_systemd_is_told_the_level_of_each_line() -> None:
    assert speak(JOURNAL_STREAM="8:1")[:2] == ["<4>home: a folder was not looked through", "<3>home: it failed"]
