"""Whose an environment's machines are: an id in the state directory, which every machine carries."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def owner_id(state: Path) -> str:
    """Return the id that marks this state directory's nodes; empty before there are any (`make_owner_id`)."""
    path = state / "owner-id"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def make_owner_id(state: Path) -> str:
    """Return the same id; made once, and the state directory with it."""
    if not owner_id(state):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        (state / "owner-id").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
    return owner_id(state)
