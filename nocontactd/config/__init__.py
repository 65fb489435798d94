"""YAML to `Config`, or every problem of the file at once, each at file:line:column, no value echoed."""

from nocontactd.config.file import examine, load, parse
from nocontactd.config.saved import dump, restore
from nocontactd.config.sections import Config, MailSource, Microsoft, Person, PhoneSource, Secret, Sieve, Tsa

__all__ = [
    "Config",
    "MailSource",
    "Microsoft",
    "Person",
    "PhoneSource",
    "Secret",
    "Sieve",
    "Tsa",
    "dump",
    "examine",
    "load",
    "parse",
    "restore",
]
