"""The data that comes with the program (nocontactd/data), as values; each file is read once."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from nocontactd.protected import Protected
from nocontactd.services import Catalogue, Service, compiled


@cache
def protected() -> Protected:
    """The shipped list of protected senders."""
    said = _said("protected.toml")
    return Protected(said["version"], {sender["domain"]: sender["kind"] for sender in said["sender"]})


@cache
def services() -> Catalogue:
    """The shipped catalogue of services."""
    said = _said("services.toml")
    account = tuple(said["about_account"])
    return compiled(
        said["version"],
        (
            Service(
                name=each["name"],
                title=each["title"],
                kind=each["kind"],
                senders=tuple(each.get("from", ())),
                people=tuple((where, form) for where, forms in each.get("people", {}).items() for form in forms),
                must_pass=(*each.get("must_pass", ()), *(account if each.get("account_mail") else ())),
                handles=each.get("handles", ""),
                region=each.get("region"),
                texts=tuple(each.get("texts", ())),
            )
            for each in said["service"]
        ),
    )


def _said(name: str) -> dict[str, Any]:
    return tomllib.loads((files("nocontactd") / "data" / name).read_text(encoding="utf-8"))
