"""The variables that an environment sets for itself: which files, what is in them, what is wrong."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from millrace.model import argument_types
from millrace.yamlio import OPAQUE, InvalidInputError, load_variables, load_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from millrace.model.applications import Application

# Those of `ansible_*` are Ansible's own (connections); `local_*` is for whoever writes an environment.
FREE = ("ansible_", "local_")
COMPUTED = "millrace_"
# Groups that Ansible or our inventory makes itself.
OWN_GROUPS = ("all", "applications", "ungrouped")
_EXTENSIONS = ("", ".json", ".yaml", ".yml")


def files(inventory: Path) -> list[tuple[Path, str, str]]:
    """Return what Ansible reads of an environment's folder: the file, what it is for, and that one's name.

    A group's before a host's, as they win. It is for a group (`group`) or a host (`host`).
    """
    found = []
    for kind in ("group", "host"):
        folder = inventory / f"{kind}_vars"
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            read = path.suffix in _EXTENSIONS and not any(one.startswith(".") for one in parts)
            if path.is_file() and read and not path.name.endswith("~"):
                found.append((path, kind, parts[0] if len(parts) > 1 else path.stem))
    return found


def contents(inventory: Path) -> list[tuple[Path, dict[Any, Any]]]:
    """Return each file with its mapping; those that hold none are left out. Raises InvalidInputError."""
    loaded = ((path, load_variables(path)) for path, *_ in files(inventory))
    return [(path, content) for path, content in loaded if isinstance(content, dict)]


def known(root: Path, applications: Iterable[Application] = ()) -> dict[str, Mapping[str, object]]:
    """Return the variables that something reads, each with what an argument specification says of it.

    Those of the roles in the clone `root` and of ansible/defaults, whose literal values give a type, and
    those of the applications' services. Raises InvalidInputError.
    """
    found: dict[str, Mapping[str, object]] = {}
    for path in sorted((root / "ansible" / "defaults").glob("*.yml")):
        loaded = load_yaml(path)
        for name, value in loaded.items() if isinstance(loaded, dict) else ():
            found[str(name)] = argument_types.specification_of(value)
    for path in sorted((root / "roles").glob("*/meta/argument_specs.yml")):
        found |= argument_types.options(load_yaml(path))
    for application in applications:
        found[f"{application.name.replace('-', '_')}_settings"] = {"type": "dict"}
        for service in application.services:
            prefix = service.replace("-", "_")
            found |= {f"{prefix}_config": {"type": "dict"}, f"{prefix}_schedule": {"type": "str"}}
    return found


def problems(
    inventory: Path,
    names: Mapping[str, Mapping[str, object]],
    groups: Collection[str],
    nodes: Collection[str],
) -> list[str]:
    """Return what is wrong in the files of variables, a line each that names file and key.

    `names` are the variables that are `known`. Raises InvalidInputError, with all of it, where a file can't
    be read.
    """
    unreadable = False
    there = {"group": {*groups, *OWN_GROUPS}, "host": set(nodes)}
    found = []
    for path, kind, name in files(inventory):
        if name not in there[kind]:
            right = hint(name, there[kind])
            found.append(f"{path}: there is no {kind} {name!r}, so nothing reads this file; {right}")
        try:
            content = load_variables(path)
        except InvalidInputError as error:
            found += error.problems
            unreadable = True
            continue
        if isinstance(content, dict):
            found += [f"{path}: {problem}" for problem in _wrong(content, names)]
        elif content is not None and content is not OPAQUE:
            found.append(f"{path}: must be a mapping of variables (name: value), not {content!r}")
    if unreadable:
        raise InvalidInputError(found)
    return found


def _wrong(content: Mapping[object, object], names: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    for key, value in content.items():
        if not isinstance(key, str) or not key.isidentifier():
            yield f"{key}: a variable's name must be letters, digits and underscores"
        elif key.startswith(COMPUTED):
            yield f"{key}: the inventory computes this variable; remove it and change what it is made of"
        elif key in names:
            yield from argument_types.problems(key, value, names[key])
        elif not key.startswith(FREE):
            yield f"{key}: nothing reads this variable; {hint(key, names)} (one of your own: local_{key})"


def hint(name: str, right: Collection[str]) -> str:
    """Return the nearest of the right names, or all of them where none is near and they are few."""
    if near := difflib.get_close_matches(name, right, n=1, cutoff=0.6):
        return f"the nearest is {near[0]!r}"
    return "remove it" if len(right) > 30 else f"there are: {', '.join(sorted(right))}"  # noqa: PLR2004 - a line
