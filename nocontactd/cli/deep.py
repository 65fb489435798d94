"""`nocontact verify --deep`: every record is opened, by two people, and what is in it held against the log.

Nothing that was sealed is shown, and nothing of it is kept: only whether it is what was logged.
"""

from argparse import Namespace
from dataclasses import replace

from nocontactd.archive.findings import Verification
from nocontactd.cli import opening
from nocontactd.errors import DamagedError


def deepened(args: Namespace, found: Verification) -> Verification:
    """What was found without keys, and with them. CredentialError, NocontactError."""
    args.days, args.released = opening.ALL, None
    opener = opening.opened(args, "verify").opener
    known = {*found.damaged, *found.missing}
    records = [record for day in opener.days() for record in opener.records(day) if _file(record) not in known]
    damaged = set()
    with opening.bar() as bar:
        for done, record in enumerate(records, 1):
            bar(done, len(records))
            try:
                opener.message(record, 0)
            except DamagedError:
                damaged.add(_file(record))
    return replace(found, ok=found.ok and not damaged, damaged=tuple(sorted({*found.damaged, *damaged})))


def _file(record: str) -> str:
    return f"mail/{record}.age"
