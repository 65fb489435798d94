"""A process that lives for new day keys: it makes them, locks each for the holders, says both halves and ends.

The daemon starts it (`python -m nocontactd.archive.mint COUNT`), so that no memory of the daemon
ever held what opens a record. Recipients come on standard input, one a line, the owner's first;
a line goes out for each key: the public half, a space, and the locked private half in base64.
"""

import base64
import resource
import sys

from nocontactd.archive.keys import mint


def main() -> int:
    """Make day keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    owner, *others = sys.stdin.read().split()
    for _ in range(int(sys.argv[1])):
        public, locked = mint(owner, others)
        sys.stdout.write(f"{public} {base64.b64encode(locked).decode()}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
