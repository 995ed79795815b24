"""Frozen dataclasses as configuration: to JSON and back, with a schema version and `--set a.b=c` overrides.

Allowed field types: bool, int, float, str, `X | None`, tuples of these, Literal, and nested frozen dataclasses.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

from halfseen.common.errors import UserError, quote

SCHEMA_VERSION = 1

T = TypeVar("T")
# In the place of a value that was not given.
_NOTHING = object()


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a setting outside its range; called from the `__post_init__` of config records."""
    if not low <= value <= high:
        raise UserError(
            f"setting {name} is out of range", got=f"{value:g}", accepted=f"{low:g} to {high:g}", do="Change it."
        )


def to_plain(value: Any) -> Any:
    """Plain data (dict, list, str, number, bool, None) of a config record."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value


def before(old: Any, new: Any, at: str = "") -> dict[str, Any]:
    """What plain data were where they are something else now: values of `old` by the names that `--set` takes; None for what is new."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {at: old}
    return {k: v for n in new for k, v in before(old.get(n), new[n], f"{at}.{n}" if at else n).items()}


def from_plain(cls: type[T], data: Any, where: str = "config") -> T:
    """Build a config record from plain data. Unknown keys and wrong types are errors that name what is accepted."""
    if not isinstance(data, dict):
        raise _bad(where, data, "an object {...}")
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in data:
        if key not in names:
            raise _bad(f"{where}.{key}", "an unknown key", ", ".join(names))
    return cls(**{k: _coerce(hints[k], v, f"{where}.{k}") for k, v in data.items()})


@dataclasses.dataclass
class _Asked:
    """What is asked of one setting: a value, and then settings below it."""

    where: str
    value: Any = _NOTHING
    below: dict[str, _Asked] = dataclasses.field(default_factory=dict)


def apply_overrides(config: T, assignments: tuple[str, ...]) -> T:
    """Apply `a.b=c` assignments, each parsed as JSON when it is JSON and as a string otherwise. A record is checked when all of its
    settings have been changed: some only fit together."""
    asked = _Asked("")
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise UserError(
                "--set needs a name and a value", got=quote(assignment), accepted="a.b=c", do="Write --set name=value."
            )
        node = asked
        for key in path.split("."):
            node = node.below.setdefault(key, _Asked(f"--set {path}"))
        # Who names a whole setting takes back what was said of its parts.
        node.value, node.below = _parse(text), {}
    return _replaced(config, asked)


def _replaced(config: T, asked: _Asked) -> T:
    record: Any = config
    names = [f.name for f in dataclasses.fields(record)]
    changes = {}
    for key, node in asked.below.items():
        if key not in names:
            raise _bad(node.where, f"no setting called {quote(key)}", ", ".join(names))
        value = getattr(record, key)
        if node.value is not _NOTHING:
            value = _coerce(typing.get_type_hints(type(record))[key], node.value, node.where)
        if node.below and not dataclasses.is_dataclass(value):
            raise _bad(next(iter(node.below.values())).where, f"{quote(key)} has no settings below it", key)
        changes[key] = _replaced(value, node) if node.below else value
    replaced: T = dataclasses.replace(record, **changes)
    return replaced


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _coerce(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against a type hint; only int -> float and list -> tuple are converted."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _coerce_union(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            raise _bad(where, value, ", ".join(map(str, args)))
        return value
    if origin is tuple:
        return _coerce_tuple(args, value, where)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_plain(hint, value, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    raise _bad(where, value, getattr(hint, "__name__", str(hint)))


def _coerce_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    members = [a for a in args if a is not type(None)]
    for member in members:
        try:
            return _coerce(member, value, where)
        except UserError:
            if member is members[-1]:
                raise
    raise _bad(where, value, str(args))


def _coerce_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _bad(where, value, "a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_coerce(args[0], v, where) for v in value)
    if len(args) != len(value):
        raise _bad(where, value, f"a list of {len(args)}")
    return tuple(_coerce(a, v, where) for a, v in zip(args, value, strict=True))


def _bad(where: str, value: Any, accepted: str) -> UserError:
    return UserError(f"{where} is not usable", got=quote(value), accepted=accepted, do="Correct the setting.")
