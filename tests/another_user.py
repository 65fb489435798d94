"""Runs a block as somebody to whom a file is closed: root, to whom nothing is, becomes nobody for that long."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401  # nobody may not read where it lies

NOBODY = 65534


@contextmanager
def closed(tree: Path, name: str) -> Iterator[None]:
    """`tree`/`name` (a file or a folder) cannot be read in the block; the rest of `tree`, below a tmp_path, can."""
    root = os.geteuid() == 0
    if root:
        for path in (tree, *tree.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        for parent in tree.parents:
            if parent.stat().st_uid == 0 and len(parent.parts) > 2:
                parent.chmod(parent.stat().st_mode | 0o011)
    mode = (tree / name).stat().st_mode
    (tree / name).chmod(0)
    try:
        if root:
            os.seteuid(NOBODY)
        yield
    finally:
        if root:
            os.seteuid(0)
        (tree / name).chmod(mode)
