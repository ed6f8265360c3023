"""Configuration files as one sorted mapping: defaults, then feature blocks, then the user's extras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax import saxutils

# What a reader of Java properties takes for syntax in a key (in a value: leading blanks and backslashes).
_JAVA_KEY_SYNTAX = re.compile(r"[\\:=#! ]")
_JAVA_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_POSTGRESQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
_POSTGRESQL_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b"}
# What XML 1.0 has no form for, and line ends, which no setting of Hadoop needs.
_NOT_IN_XML = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def merge(defaults: Mapping[str, object], *layers: Mapping[str, object]) -> dict[str, object]:
    """Return one mapping sorted by key: later layers win, and a None there removes the key.

    Raises TypeError for a layer that isn't a mapping.
    """
    merged: dict[str, object] = {}
    for layer in (defaults, *layers):
        if not isinstance(layer, Mapping):
            message = f"must be a mapping, not {type(layer).__name__}"
            raise TypeError(message)
        merged.update(layer)
    return {key: merged[key] for key in sorted(merged) if merged[key] is not None}


def to_properties(settings: Mapping[str, object], style: str = "java") -> str:
    """Render a mapping as one line for each key, sorted, with a newline at the end.

    Booleans are lower-case and lists joined by commas. Styles:
    - `java` and `spark`: Java properties (Spark reads its defaults the same way). Backslashes are doubled,
      a blank at the beginning of a value and syntax in a key are escaped, control and non-ASCII characters
      become escapes, so that the reader gets back exactly the text given, whatever encoding it assumes.
    - `postgresql`: numbers and booleans bare, all else in single quotes, with quotes and backslashes doubled.
    - `hadoop`: `<property>` elements, to stand inside `<configuration>`.

    Raises TypeError for a value that has no text form, ValueError for an unknown style or an impossible key.
    """
    styles = {
        "hadoop": _hadoop_line,
        "java": _java_line,
        "postgresql": _postgresql_line,
        "spark": _java_line,
    }
    if style not in styles:
        message = f"unknown style {style!r}; known: {', '.join(sorted(styles))}"
        raise ValueError(message)
    return "".join(f"{styles[style](key, settings[key])}\n" for key in sorted(settings))


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return ",".join(_text(key, item) for item in value)
    message = f"the value of {key!r} must be text, a number, a boolean or a list, not {type(value).__name__}"
    raise TypeError(message)


def _java_line(key: str, value: object) -> str:
    if not key:
        message = "a key must not be empty"
        raise ValueError(message)
    name = _JAVA_KEY_SYNTAX.sub(lambda match: "\\" + match[0], key)
    text = _text(key, value).replace("\\", "\\\\")
    if text.startswith(" "):
        text = "\\" + text
    return f"{_java_escapes(name)}={_java_escapes(text)}"


def _java_escapes(text: str) -> str:
    return "".join(_java_character(character) for character in text)


def _java_character(character: str) -> str:
    if character in _JAVA_CONTROLS:
        return _JAVA_CONTROLS[character]
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _postgresql_line(key: str, value: object) -> str:
    if not _POSTGRESQL_NAME.fullmatch(key):
        message = f"{key!r} is not the name of a PostgreSQL setting"
        raise ValueError(message)
    text = _text(key, value)
    if isinstance(value, (bool, int, float)):
        return f"{key} = {text}"
    text = text.replace("\\", "\\\\").replace("'", "''")
    for control, escape in _POSTGRESQL_CONTROLS.items():
        text = text.replace(control, escape)
    return f"{key} = '{text}'"


def _hadoop_line(key: str, value: object) -> str:
    text = _text(key, value)
    if not key or key != key.strip():
        message = f"{key!r} is not the name of a Hadoop setting"
        raise ValueError(message)
    if _NOT_IN_XML.search(key + text):
        message = f"{key!r} or its value has a character that XML has no form for"
        raise ValueError(message)
    name, content = saxutils.escape(key), saxutils.escape(text)
    return f"  <property><name>{name}</name><value>{content}</value></property>"
