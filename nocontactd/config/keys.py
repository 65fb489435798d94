"""The words of the configuration: every key, and where it stands. What is not in this table is a problem."""

import difflib

KEYS = {
    "": (
        *("blocked", "mail", "phone", "archive", "state", "loosening", "region", "uncertain", "max_per_pass"),
        *("tsa", "dkim"),
    ),
    "blocked": ("person", "mail", "phone", "names", "handles"),
    "mail": (
        "source",
        "host",
        "port",
        "security",
        "ca_file",
        "user",
        "password_file",
        "password_command",
        "token_command",
        "microsoft",
        "folders",
        "never_touch",
        "authserv_id",
        "sieve",
        "every",
    ),
    "microsoft": ("client_id", "tenant", "authority"),
    "sieve": ("host", "port", "security", "folder"),
    "phone": (
        "source",
        "account",
        "number",
        "relay_to",
        "region",
        "api_key",
        "password_file",
        "password_command",
        "api_base",
        "every",
    ),
    "archive": ("path",),
    "state": ("path",),
    "loosening": ("delay",),
    "tsa": ("url", "ca_file"),
}
"""Section ("" for the top level) to its keys."""

LATER = frozenset({"support"})
"""Words of the contract that this version does not know yet."""


SECRETS = frozenset({"password", "passwd", "pass", "passphrase", "secret", "api_secret", "token", "auth_token"})
"""What other programs' files take."""


def unknown(key: str, section: str) -> str:
    """What is said of a key that does not belong here. It is not repeated: it may be an address that lost its place."""
    known = KEYS[section]
    if key in LATER:
        return f"this version of nocontactd does not have `{key}` yet"
    likeness = key[:64].casefold().replace("-", "_").strip()
    if likeness in SECRETS:
        return "no secret stands in this file; see `password_file` and `password_command`"
    homes = [home for home, keys in KEYS.items() if likeness in keys]
    if homes and likeness not in known:
        return f"`{likeness}` does not belong here but {_at(homes[0])}"
    near = difflib.get_close_matches(likeness, known, n=1)
    if near:
        return f"unknown key; did you mean `{near[0]}`?"
    return f"unknown key; known here: {', '.join(known)}"


def _at(section: str) -> str:
    return f"under `{section}`" if section else "at the top level"
