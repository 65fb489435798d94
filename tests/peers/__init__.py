"""Real peers for tests. One that is missing is said to be missing, and fails the run in CI."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip for want of a real peer; in CI, where `.ci/run` installs them all, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have it: {what}")
    pytest.skip(what)
