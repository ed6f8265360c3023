"""What every provider's Terraform outputs: held against terraform/contract.schema.json, kept for later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema

from millrace.console import MillraceError
from millrace.paths import repo_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE = "outputs.json"
SCHEMA = repo_root() / "terraform" / "contract.schema.json"


def problems(outputs: Mapping[str, Any]) -> list[str]:
    """Return a line for each way in which the outputs' values are not of the contract's shape."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    found = [
        f"{error.json_path.removeprefix('$.')}: {error.message}" for error in validator.iter_errors(outputs)
    ]
    return sorted([*found, *_jump_hosts(outputs)])


def _jump_hosts(outputs: Mapping[str, Any]) -> Iterator[str]:
    nodes = outputs.get("nodes") or {}
    for name in outputs.get("bastions") or ():
        if not nodes.get(name, {}).get("public"):
            yield f"bastions: {name!r} is not a node with a public address"


def store(state: Path, outputs: Mapping[str, Any]) -> None:
    """Keep what Terraform gave in the environment's state directory. Raises MillraceError: see `problems`."""
    if found := problems(outputs):
        raise MillraceError("\n".join(f"Terraform's outputs: {problem}" for problem in found))
    (state / FILE).write_text(json.dumps(outputs, indent=2) + "\n", encoding="utf-8")


def stored(state: Path) -> dict[str, Any]:
    """Return what was kept; without nodes where nothing was."""
    path = state / FILE
    if not path.exists():
        return {"nodes": {}, "bastions": []}
    outputs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return outputs
