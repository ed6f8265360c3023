"""The message contracts as JSON Schema files (draft 2020-12, services/sensors/schemas), versioned by name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "schemas"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def load_schema(name: str) -> dict[str, Any]:
    """Return the schema `name`, e.g. "measurement.v1"; ValueError names those that exist."""
    if name not in NAMES:
        message = f"no schema named {name!r}; there are: {', '.join(NAMES)}"
        raise ValueError(message)
    schema: dict[str, Any] = json.loads(_text(name))
    return schema
