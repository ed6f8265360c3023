"""A README for each role, made from its argument specification, which is held against its defaults."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from millrace import paths
from millrace.yamlio import InvalidInputError, load_yaml, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NOTE = "<!-- Made by `millrace role-docs` from meta/argument_specs.yml; change it there. -->"
_ENTRY = "main"
_WORD = re.compile(r"[\w.+~-]+")


def role_folders(root: Path) -> list[Path]:
    """Return the folders of all roles below the clone's root, sorted."""
    return sorted(path for path in (root / "roles").iterdir() if (path / "tasks").is_dir())


def specification(role: Path) -> dict[str, dict[str, object]]:
    """Return the role's entry points by name, `main` among them. Raises InvalidInputError."""
    path = role / "meta" / "argument_specs.yml"
    entries = _mapping(_mapping(load_yaml(path), path).get("argument_specs"), path)
    return {name: _mapping(entry, path) for name, entry in {_ENTRY: None, **entries}.items()}


def defaults(role: Path) -> dict[str, object]:
    """Return the role's defaults, none where it has no such file. Raises InvalidInputError."""
    path = role / "defaults" / "main.yml"
    return _mapping(load_yaml(path) or {}, path) if path.exists() else {}


def check_role(role: Path) -> list[str]:
    """Return how specification, defaults and README of a role differ, one line for each difference."""
    try:
        spec, given = specification(role), defaults(role)
    except InvalidInputError as error:
        return list(error.problems)
    every = {name: option for entry in spec.values() for name, option in options(entry).items()}
    problems = [f"roles/{role.name}: {problem}" for problem in compare(role.name, every, given)]
    readme = role / "README.md"
    if not readme.exists() or readme.read_text(encoding="utf-8") != render(role.name, spec):
        problems.append(f"roles/{role.name}/README.md: is not up to date; run millrace role-docs")
    return problems


def options(spec: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the options of a specification or of one option of its own, by name."""
    found = spec.get("options")
    if not isinstance(found, dict):
        return {}
    return {str(name): option if isinstance(option, dict) else {} for name, option in found.items()}


def compare(
    role: str, specified: Mapping[str, Mapping[str, object]], given: Mapping[str, object]
) -> Iterator[str]:
    """Tell how a role's specified options differ from its defaults; internal ones (`__`) don't count."""
    public = {name: value for name, value in given.items() if not name.startswith("__")}
    for name in sorted(public.keys() - specified.keys()):
        yield f"{name} is in defaults/main.yml, but not in meta/argument_specs.yml"
    for name, option in specified.items():
        if not name.startswith(f"{role}_"):
            yield f"{name} must begin with {role}_"
        for key in ("type", "description"):
            if key not in option:
                yield f"{name} has no {key} in meta/argument_specs.yml"
        if option.get("required") is True:
            if name in public or "default" in option:
                yield f"{name} is required, so it must have no default"
        elif name not in public:
            yield f"{name} is neither required nor in defaults/main.yml"
        elif _comparable(option.get("default")) != _comparable(public[name]):
            yield f"{name} has another default in meta/argument_specs.yml than in defaults/main.yml"


def render(role: str, entries: Mapping[str, Mapping[str, object]]) -> str:
    """Return the README of a role as Markdown: its entry point main, then the others (`tasks_from`)."""
    lines = [_NOTE, "", f"# {role}", ""]
    for name, spec in entries.items():
        lines += ([] if name == _ENTRY else ["", f"# tasks_from: {name}", ""]) + _section(spec)
    return "\n".join(lines) + "\n"


def _section(spec: Mapping[str, object]) -> list[str]:
    title = str(spec.get("short_description", "")).rstrip(".")
    lines = [f"{title}.", ""]
    description = spec.get("description", [])
    for paragraph in _list(description):
        lines += [_line(paragraph).replace("<", "&lt;"), ""]
    lines += ["## Variables", ""]
    rows = list(_rows(options(spec), ""))
    if rows:
        lines += ["| Name | Type | Default | Description |", "|---|---|---|---|", *rows]
    else:
        lines += ["None."]
    return lines


def _rows(specified: Mapping[str, Mapping[str, object]], prefix: str) -> Iterator[str]:
    for name, option in specified.items():
        kind = str(option.get("type", "str"))
        elements = f" of {option['elements']}" if "elements" in option else ""
        if option.get("required") is True:
            default = "**required**"
        elif "default" in option:
            default = _code(option["default"])
        else:
            default = ""
        words = option.get("description", "")
        text = " ".join(_line(word) for word in _list(words)).replace("<", "&lt;")
        if "choices" in option:
            text += f" One of {', '.join(_code(choice) for choice in _list(option['choices']))}."
        cells = (f"`{prefix}{name}`", f"{kind}{elements}", default, text)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield from _rows(options(option), f"{prefix}{name}{'[]' if kind == 'list' else ''}.")


def _code(value: object) -> str:
    """Return a value as inline code: text as it is where YAML reads it as text, all else as JSON."""
    text = _line(value) if isinstance(value, str) else ""
    if not text or (_WORD.fullmatch(text) and not isinstance(parse_yaml(text, ""), str)):
        text = json.dumps(value, ensure_ascii=False)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _comparable(value: object) -> tuple[bool, str]:
    """Return a value in which folded and plain forms of a text are equal, but true, 1 and "1" differ."""
    if isinstance(value, str):
        return True, _line(value)
    return False, json.dumps(value, sort_keys=True, default=str)


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _mapping(value: object, path: Path) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidInputError([f"{path}: must hold a mapping (argument_specs: {_ENTRY}: …)"])
    return value


def main(argv: list[str] | None = None) -> int:
    """Run `millrace role-docs`: write the READMEs, or with --check only tell what differs."""
    parser = argparse.ArgumentParser(prog="millrace role-docs", description="READMEs of the roles.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something differs")
    check_only = parser.parse_args(argv).check
    root = paths.repo_root()
    problems: list[str] = []
    for role in role_folders(root):
        if not check_only and (role / "meta" / "argument_specs.yml").exists():
            (role / "README.md").write_text(render(role.name, specification(role)), encoding="utf-8")
        problems += check_role(role)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0
