"""A whole look at a source, as a pass makes it: what is new, and what is older as far as that is still to be done."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nocontactd.errors import SourceError, UnreachableError
from nocontactd.model import Author, Cursor, Envelope, Look
from nocontactd.ports import Concerns, Source


class Everybody:
    """They are of concern, whoever they are."""

    def __call__(self, _authors: Sequence[Author]) -> bool:
        return True

    def spares(self, _host: str) -> bool:
        return False


everybody = Everybody()


def look_at(
    source: Source,
    cursors: Mapping[str, Cursor],
    rules: str = "r",
    concerns: Concerns = everybody,
) -> tuple[list[Envelope], list[Look]]:
    """By folder and UID what was shown, and the Looks. By other rules than its cursor's, all of a folder is older.

    A folder whose older messages could not be looked through has the problem in its Look.
    """
    items = list(source.scan(cursors, rules))
    envelopes = [item for item in items if isinstance(item, Envelope)]
    looks: list[Look] = []
    away = False
    for look in (item for item in items if isinstance(item, Look)):
        known = cursors.get(look.folder)
        same = known if known and known.uidvalidity == look.uidvalidity else None
        looks.append(look)
        if look.problem or (same and same.rules == rules):
            continue
        cursor = Cursor(look.folder, look.uidvalidity, look.next_uid, rules, (same or look).next_uid)
        try:
            for stretch in source.older(cursor, concerns) if not away else ():
                envelopes += stretch.envelopes
        except SourceError as error:
            away = isinstance(error, UnreachableError)
            looks[-1] = replace(look, problem=error.message.rpartition("looked through: ")[2])
    order = {look.folder: number for number, look in enumerate(looks)}
    return sorted(envelopes, key=lambda each: (order[each.ref.folder], int(each.ref.uid))), looks
