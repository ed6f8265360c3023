"""Reading YAML that people write: duplicate keys are refused and every mistake is told at once.

PyYAML keeps the last of two equal keys in silence, so a node listed twice would simply vanish; the loader
here refuses it. `Reader` collects problems instead of stopping at the first, each naming its key path.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable
from typing import TYPE_CHECKING, NoReturn

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path


class InvalidInputError(Exception):
    """One or more mistakes in a file that a person wrote; `problems` has one line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        """Keep the problems in the order in which they were found."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


OPAQUE = object()
"""What stands for a value that only Ansible can read: encrypted, or marked as no template."""
_MERGE = "tag:yaml.org,2002:merge"
# What broken values of YAML's own types (such as the date 2026-13-01) raise in PyYAML.
_BROKEN = (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class _UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader, except that a repeated key in a mapping is an error."""

    merges = False
    """Whether mappings may take keys from others with `<<`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - PyYAML's signature
        first_line: dict[object, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                if self.merges:
                    continue
                where = f"{key_node.start_mark.name}:{key_node.start_mark.line + 1}"
                raise InvalidInputError([f"{where}: << is not read here; write the keys out in each mapping"])
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                continue  # the safe loader itself refuses it below
            if key in first_line:
                where = f"{key_node.start_mark.name}:{line}"
                message = f"{where}: the key {key!r} is already in line {first_line[key]}; name it once"
                raise InvalidInputError([message])
            first_line[key] = line
        return super().construct_mapping(node, deep=deep)

    def construct_undefined(self, node: yaml.Node) -> NoReturn:
        where = f"{node.start_mark.name}:{node.start_mark.line + 1}"
        hint = "secrets stand in the environment's vault, and variables in group_vars"
        raise InvalidInputError([f"{where}: the tag {node.tag} is not read here; {hint}"])


_UniqueKeyLoader.add_constructor(None, _UniqueKeyLoader.construct_undefined)


class _VariablesLoader(_UniqueKeyLoader):
    """The same for files of Ansible's variables, which may have its tags and `<<`."""

    merges = True


for _tag in ("!vault", "!vault-encrypted", "!unsafe"):
    _VariablesLoader.add_constructor(_tag, lambda _loader, _node: OPAQUE)


def parse_yaml(text: str, name: str, kind: type[_UniqueKeyLoader] = _UniqueKeyLoader) -> object:
    """Parse one YAML document; `name` stands for the file in errors. Raises InvalidInputError."""
    try:
        loader = kind(text)
        loader.name = name
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _BROKEN as error:
        said = " ".join(str(error).replace('"<unicode string>"', "the file").split())
        raise InvalidInputError([f"{name}: not valid YAML: {said or type(error).__name__}"]) from error


def load_yaml(path: Path) -> object:
    """Read one YAML file (UTF-8). Raises InvalidInputError, also where the file can't be read."""
    return parse_yaml(_read(path), str(path))


def load_variables(path: Path) -> object:
    """Read one file of Ansible's variables, encrypted ones as OPAQUE. Raises InvalidInputError."""
    text = _read(path)
    return OPAQUE if text.startswith("$ANSIBLE_VAULT;") else parse_yaml(text, str(path), _VariablesLoader)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError([f"{path}: must be text in UTF-8: {error}"]) from error
    except OSError as error:
        raise InvalidInputError([f"{path}: can't be read: {error}"]) from error


class Reader:
    """Takes values apart and notes what is wrong with them; the caller raises when `problems` isn't empty.

    Each method returns a usable value in any case, so that reading goes on and finds the other mistakes too.
    """

    def __init__(self) -> None:
        """Start without problems."""
        self.problems: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Note a problem at the key path `where`; `what` says what would be right."""
        self.problems.append(f"{where}: {what}" if where else what)

    def raise_if_any(self) -> None:
        """Raise InvalidInputError with everything noted so far."""
        if self.problems:
            raise InvalidInputError(self.problems)

    def mapping(self, value: object, where: str) -> dict[str, object]:
        """Return a mapping with text keys; otherwise note it and return an empty one."""
        if not isinstance(value, dict):
            whole_file_is_empty = not where and value is None
            self.add(where, "is empty" if whole_file_is_empty else f"must be a mapping, not {_kind(value)}")
            return {}
        for key in value:
            if not isinstance(key, str):
                self.add(where, f"the key {key!r} must be text (put it in quotes)")
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def fields(
        self, value: object, where: str, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, object]:
        """Return a mapping that has all required keys and no unknown ones; note what deviates."""
        found = self.mapping(value, where)
        if not isinstance(value, dict):
            return found
        known = sorted({*required, *optional})
        for key in sorted(found.keys() - set(known)):
            self.add(_join(where, key), f"unknown key; known here: {', '.join(known)}")
        for key in sorted(set(required) - found.keys()):
            self.add(_join(where, key), "is missing")
        return found

    def text(self, fields: Mapping[str, object], key: str, where: str, default: str = "") -> str:
        """Return a non-empty text field, or `default` where it is absent or wrong (noted)."""
        if key not in fields:
            return default
        value = fields[key]
        if isinstance(value, str) and value:
            return value
        self.add(_join(where, key), f"must be text, not {_kind(value)}")
        return default

    def integer(self, fields: Mapping[str, object], key: str, where: str, low: int, high: int) -> int:
        """Return an integer field in low..high, or `low` where it is absent or wrong (noted)."""
        if key not in fields:
            return low
        value = fields[key]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.add(_join(where, key), f"must be a whole number from {low} to {high}, not {value!r}")
        return low

    def flag(self, fields: Mapping[str, object], key: str, where: str) -> bool:
        """Return a field that is true or false, or False where it is absent or wrong (noted)."""
        value = fields.get(key, False)
        if not isinstance(value, bool):
            self.add(_join(where, key), f"must be true or false, not {value!r}")
            return False
        return value

    def texts(self, fields: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
        """Return a list of different texts, or nothing where it is absent or wrong (noted)."""
        value = fields.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.add(_join(where, key), f"must be a list of texts, not {value!r}")
            return ()
        if len(set(value)) != len(value):
            self.add(_join(where, key), f"names something twice: {', '.join(value)}")
        return tuple(value)

    def items(self, value: object, where: str) -> list[object]:
        """Return a list; otherwise note it and return an empty one."""
        if isinstance(value, list):
            return value
        self.add(where, f"must be a list, not {value!r}")
        return []

    def choice(self, fields: Mapping[str, object], key: str, where: str, choices: Collection[str]) -> str:
        """Return a text field that is one of `choices`; otherwise note it and return the text as it is."""
        value = self.text(fields, key, where)
        if value and value not in choices:
            self.add(_join(where, key), f"must be one of {', '.join(sorted(choices))}, not {value!r}")
        return value


def nearest(name: str, right: Collection[str]) -> str:
    """Return " (the nearest is …)" where one of the right names is near, otherwise nothing."""
    near = difflib.get_close_matches(name, sorted(right), n=1, cutoff=0.6)
    return f" (the nearest is {near[0]!r})" if near else ""


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _kind(value: object) -> str:
    return "empty" if value is None or value == "" else f"{value!r}"
