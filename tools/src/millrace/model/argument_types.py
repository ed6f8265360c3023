"""Values held against argument specifications (roles/*/meta/argument_specs.yml) where they are literal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.yamlio import OPAQUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What each type takes, and how a person calls it.
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "dict": ((dict,), "a mapping"),
    "float": ((int, float), "a number"),
    "int": ((int,), "a whole number without quotes"),
    "list": ((list,), "a list"),
    "path": ((str,), "text (in quotes)"),
    "str": ((str,), "text (in quotes)"),
}


def options(data: object) -> dict[str, Mapping[str, object]]:
    """Return the options of all entry points of a role's specification, given the file's content."""
    entries = data.get("argument_specs") if isinstance(data, dict) else None
    found: dict[str, Mapping[str, object]] = {}
    for entry in entries.values() if isinstance(entries, dict) else ():
        listed = entry.get("options") if isinstance(entry, dict) else None
        for name, option in listed.items() if isinstance(listed, dict) else ():
            found[str(name)] = option if isinstance(option, dict) else {}
    return found


def specification_of(value: object) -> dict[str, object]:
    """Return a specification that a value fits: its type; empty for a template, which may become anything."""
    if _unknown(value):
        return {}
    kinds = ("bool", "int", "float", "str", "list", "dict")
    return {"type": next((kind for kind in kinds if _fits(value, kind)), None)}


def problems(where: str, value: object, option: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the value of a variable at the key path `where`; templates are left alone."""
    kind = option.get("type")
    if _unknown(value) or not isinstance(kind, str) or kind not in _TYPES:
        return
    if not _fits(value, kind):
        yield f"{where}: must be {_TYPES[kind][1]}, not {'empty' if value is None else repr(value)}"
        return
    choices = option.get("choices")
    if isinstance(choices, list) and value not in choices:
        yield f"{where}: must be one of {', '.join(map(str, choices))}, not {value!r}"
    inner = option.get("options")
    if isinstance(value, list):
        element: dict[str, object] = {"type": option.get("elements"), "options": inner}
        for index, item in enumerate(value):
            yield from problems(f"{where}[{index}]", item, element)
    elif isinstance(value, dict) and isinstance(inner, dict) and inner:
        yield from _inside(where, value, inner)


def _inside(
    where: str, value: Mapping[object, object], options_: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    for name, item in value.items():
        if name in options_:
            yield from problems(f"{where}.{name}", item, options_[str(name)])
        else:
            yield f"{where}.{name}: unknown key; known here: {', '.join(sorted(options_))}"
    for name, option in options_.items():
        if option.get("required") is True and name not in value:
            yield f"{where}.{name}: is missing"


def _unknown(value: object) -> bool:
    """Tell whether only Ansible knows what the value will be: a template, or what is encrypted."""
    return value is OPAQUE or (isinstance(value, str) and ("{{" in value or "{%" in value))


def _fits(value: object, kind: str) -> bool:
    # To Python, true and false are numbers.
    return isinstance(value, _TYPES[kind][0]) and (kind == "bool" or not isinstance(value, bool))
