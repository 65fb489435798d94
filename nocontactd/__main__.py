"""`python -m nocontactd` is the daemon, as the console script is."""

from nocontactd.service import main

if __name__ == "__main__":
    raise SystemExit(main())
