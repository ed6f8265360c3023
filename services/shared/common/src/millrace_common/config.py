"""Settings: a JSON file read into frozen dataclasses, with errors that name the key and what would be right.

Fields may be str, int, float, bool, another dataclass, Literal[…], tuple[X, …], Mapping[str, X] or X | None.
A field without a default is required. `setting()` adds limits to a field.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


class ConfigError(ValueError):
    """The settings are wrong; the text lists every wrong key and what would be right."""


def setting(
    default: Any = dataclasses.MISSING,  # noqa: ANN401 - a default has the type of its field
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
) -> Any:  # noqa: ANN401 - like dataclasses.field, it stands for a value of the field
    """Return a dataclass field with limits: `minimum`/`maximum` inclusive, `pattern` for the whole text."""
    limits = {"minimum": minimum, "maximum": maximum, "pattern": pattern}
    return dataclasses.field(default=default, metadata={k: v for k, v in limits.items() if v is not None})


def load_config(path: Path, cls: type[T]) -> T:
    """Read the JSON file `path` into the dataclass `cls`; ConfigError names the file and each wrong key."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: can't be read: {error.strerror}"
        raise ConfigError(message) from error
    except ValueError as error:
        message = f"{path}: is not JSON: {error}"
        raise ConfigError(message) from error
    try:
        return parse_config(data, cls)
    except ConfigError as error:
        message = "\n".join(f"{path}: {line}" for line in str(error).splitlines())
        raise ConfigError(message) from error


def parse_config(data: object, cls: type[T]) -> T:
    """Turn decoded JSON into the dataclass `cls`; ConfigError has one line per wrong key."""
    errors: list[str] = []
    value = _convert("", data, cls, errors)
    if errors:
        raise ConfigError("\n".join(errors))
    result: T = value
    return result


def _convert(key: str, data: object, hint: Any, errors: list[str]) -> Any:  # noqa: ANN401 - any type of field
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        optional = data is None and type(None) in get_args(hint)
        inner = next(a for a in get_args(hint) if a is not type(None))
        return None if optional else _convert(key, data, inner, errors)
    if dataclasses.is_dataclass(hint):
        return _convert_object(key, data, hint, errors)
    if origin in (tuple, Mapping):
        return _convert_collection(key, data, hint, errors)
    return _convert_scalar(key, data, hint, errors)


def _convert_scalar(key: str, data: Any, hint: Any, errors: list[str]) -> Any:  # noqa: ANN401 - any type of field
    if get_origin(hint) is Literal:
        if data in get_args(hint):
            return data
        return _wrong(key, "one of " + ", ".join(map(repr, get_args(hint))), data, errors)
    if hint is float and type(data) in (int, float) and math.isfinite(data):
        return float(data)
    if type(data) is hint and hint is not float:
        return data
    return _wrong(key, _NAMES[hint], data, errors)


def _convert_collection(key: str, data: object, hint: Any, errors: list[str]) -> Any:  # noqa: ANN401 - any type of field
    if get_origin(hint) is tuple:
        if not isinstance(data, list):
            return _wrong(key, "a list", data, errors)
        return tuple(_convert(f"{key}[{i}]", item, get_args(hint)[0], errors) for i, item in enumerate(data))
    if not isinstance(data, dict):
        return _wrong(key, "an object", data, errors)
    return {name: _convert(f"{key}.{name}", item, get_args(hint)[1], errors) for name, item in data.items()}


def _convert_object(key: str, data: object, cls: Any, errors: list[str]) -> Any:  # noqa: ANN401 - any dataclass
    if not isinstance(data, dict):
        return _wrong(key, "an object", data, errors)
    prefix = f"{key}." if key else ""
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    before = len(errors)
    for name in sorted(set(data) - set(fields)):
        near = difflib.get_close_matches(name, fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
        errors.append(f"{prefix}{name}: unknown key; {hint}")
    values = {}
    for name, field in fields.items():
        if name in data:
            known = len(errors)
            values[name] = _convert(prefix + name, data[name], hints[name], errors)
            if len(errors) == known and values[name] is not None:
                _check_limits(prefix + name, values[name], field.metadata, errors)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            errors.append(f"{prefix}{name}: is missing; it has no default")
    if len(errors) > before:
        return None
    try:
        return cls(**values)
    except ConfigError as error:  # from a __post_init__ that holds fields against one another
        errors.extend(f"{prefix}{line}" for line in str(error).splitlines())
        return None


def _check_limits(key: str, value: Any, limits: Mapping[str, Any], errors: list[str]) -> None:  # noqa: ANN401 - any type
    size, what = (len(value), "a length of ") if isinstance(value, (str, tuple, dict)) else (value, "")
    if "minimum" in limits and size < limits["minimum"]:
        _wrong(key, f"{what}at least {limits['minimum']}", value, errors)
    if "maximum" in limits and size > limits["maximum"]:
        _wrong(key, f"{what}at most {limits['maximum']}", value, errors)
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        _wrong(key, f"a text like {limits['pattern']}", value, errors)


def _wrong(key: str, expected: str, data: object, errors: list[str]) -> None:
    secret = "password" in key or "secret" in key
    shown = "something else" if secret else json.dumps(data, ensure_ascii=False, default=str)[:80]
    errors.append(f"{key or 'the settings'}: expected {expected}, got {shown}")
