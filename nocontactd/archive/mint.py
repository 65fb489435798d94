"""A process that lives for one day key: it makes the key, locks it for the holders, says both halves and ends.

The daemon starts it (`python -m nocontactd.archive.mint`), so that no memory of the daemon ever
held what opens a record. Recipients come on standard input, one a line, the owner's first; the
public half goes out as the first line, the locked private half follows it.
"""

import resource
import sys

from nocontactd.archive.keys import mint


def main() -> int:
    """Make one day key."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    owner, *others = sys.stdin.read().split()
    public, locked = mint(owner, others)
    sys.stdout.buffer.write(public.encode() + b"\n" + locked)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
