"""A `Config` as JSON and back, exactly: what was accepted once is what runs, whatever the file says now."""

import json
import types
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn, cast, get_args, get_origin, get_type_hints

from nocontactd.config.sections import Config
from nocontactd.errors import ConfigError

VERSION = 1


def dump(config: Config) -> str:
    """JSON of a whole configuration. It names people: keep it 0600."""
    return json.dumps({"version": VERSION, "config": _plain(config)}, indent=1) + "\n"


def restore(text: str) -> Config:
    """What `dump` was given. ConfigError: this is not what it wrote, or a later version wrote it."""
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError):
        _damaged("they are not JSON, or cut short")
    if not isinstance(saved, dict) or saved.get("version") != VERSION:
        _damaged("another version wrote them")
    return cast(Config, _typed(saved.get("config"), Config))


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _typed(value: object, kind: Any) -> object:
    """A JSON value as an annotation of the sections says. There are no others in them than these."""
    if get_origin(kind) is tuple:
        return tuple(_typed(item, get_args(kind)[0]) for item in _is(value, list))
    if isinstance(kind, types.UnionType):
        return None if value is None else _typed(value, get_args(kind)[0])
    if is_dataclass(kind):
        return _section(_is(value, dict), kind)
    if issubclass(kind, Enum):
        return kind(value) if value in list(kind) else _damaged("an unknown word stands in them")
    if kind is Path:
        return Path(_is(value, str))
    return _is(value, kind)


def _section(value: Any, kind: Any) -> object:
    hints = get_type_hints(kind)
    if not value.keys() <= hints.keys():
        _damaged("a later version wrote them")
    optional = {f.name for f in fields(kind) if f.default is not MISSING}
    if not hints.keys() <= value.keys() | optional:
        _damaged("a part of them is missing")
    return kind(**{key: _typed(item, hints[key]) for key, item in value.items()})


def _is(value: object, kind: type) -> Any:
    # bool is an int to Python; and a float that happens to be whole is written as one by other programs
    if type(value) is int and kind is float:
        return float(value)
    return value if type(value) is kind else _damaged("a value of another kind stands in them")


def _damaged(why: str) -> NoReturn:
    raise ConfigError(
        [f"the accepted rules in the state cannot be read: {why}"],
        "put the state's accepted.json back from a backup; nothing is looked at until then",
    )
