"""archive.json: for whom this archive is sealed, and by which keys its log is signed. Public, and pinned by the log."""

import json
from dataclasses import dataclass, replace
from typing import Any

NAME = "archive.json"
FORMAT = "nocontactd-archive/1"


@dataclass(frozen=True, slots=True)
class Charter:
    """Who can open, and who signs."""

    origin: str
    """The log's name, made at random: it says nothing of whose archive this is."""
    created: str
    """Day (UTC)."""
    owner: str
    """age recipients (`age1...`)."""
    therapist: str
    witness: str | None
    log_keys: tuple[str, ...]
    """Verifier keys (C2SP signed-note `name+hash+key`), the one in use last."""
    days_ahead: int = 0
    """For how many days keys are made ahead, at a ceremony; 0: each day's key is made when it is first needed."""

    @property
    def policy(self) -> str:
        """Who must come together, in words."""
        together = "owner AND (therapist OR witness)" if self.witness else "owner AND therapist"
        return f"{together}; day keys made {self.days_ahead} days ahead" if self.days_ahead else together

    @property
    def others(self) -> tuple[str, ...]:
        """The recipients of whom one is needed beside the owner."""
        return (self.therapist, self.witness) if self.witness else (self.therapist,)

    def signed_by(self, log_key: str) -> "Charter":
        """The same, with another log key in use from now on."""
        return replace(self, log_keys=(*self.log_keys, log_key))

    def held_by(self, role: str, recipient: str) -> "Charter":
        """The same, with another therapist or witness from now on."""
        if role == "therapist":
            return replace(self, therapist=recipient)
        if role == "witness":
            return replace(self, witness=recipient)
        raise ValueError("the owner of an archive is never replaced")

    def dump(self) -> bytes:
        """The octets of archive.json."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "origin": self.origin,
            "created": self.created,
            "policy": self.policy,
            "holders": {"owner": self.owner, "therapist": self.therapist, "witness": self.witness},
            "log_keys": self.log_keys,
        }
        if self.days_ahead:
            fields["days_ahead"] = self.days_ahead
        return json.dumps(fields, indent=1).encode() + b"\n"


def parse(data: bytes) -> Charter:
    """The opposite. ValueError: it is not archive.json."""
    try:
        fields = json.loads(data)
        holders = fields["holders"]
        known = fields["format"] == FORMAT
        witness = holders["witness"]
        charter = Charter(
            str(fields["origin"]),
            str(fields["created"]),
            str(holders["owner"]),
            str(holders["therapist"]),
            None if witness is None else str(witness),
            tuple(str(key) for key in fields["log_keys"]),
            int(fields.get("days_ahead", 0)),
        )
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise ValueError("archive.json is not as the format says")
    return charter
