"""One exit code for several problems: what the owner must do first comes first (product.md, the command line)."""

import pytest

from nocontactd.errors import (
    BusyError,
    CredentialError,
    NocontactError,
    SealError,
    SourceError,
    UnsoundError,
    exit_code,
)


@pytest.mark.parametrize(
    ("problems", "code"),
    [
        ([], 0),
        ([NocontactError("")], 1),
        ([NocontactError(""), NocontactError("")], 1),
        ([NocontactError(""), SourceError("")], 75),
        ([SourceError(""), CredentialError("")], 77),
        ([CredentialError(""), SealError(""), BusyError("")], 73),
        ([UnsoundError("")], 65),
        ([SourceError(""), UnsoundError(""), CredentialError("")], 65),
        ([UnsoundError(""), SealError("")], 73),
        ([KeyError("")], 1),
    ],
)
def test_the_worst_comes_first(problems: list[Exception], code: int) -> None:
    assert exit_code(problems) == code
    assert exit_code(reversed(problems)) == code
