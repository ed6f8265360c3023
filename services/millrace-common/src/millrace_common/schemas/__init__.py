"""The message contracts as JSON Schema files (draft 2020-12), versioned by name."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

NAMES = ("measurement.v1", "anomaly.v1", "rejected.v1")


@cache
def _text(name: str) -> str:
    return resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")


def load_schema(name: str) -> dict[str, Any]:
    """Return the schema `name`, e.g. "measurement.v1"; ValueError names those that exist."""
    if name not in NAMES:
        message = f"no schema named {name!r}; there are: {', '.join(NAMES)}"
        raise ValueError(message)
    schema: dict[str, Any] = json.loads(_text(name))
    return schema
