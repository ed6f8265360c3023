"""A streaming query's checkpoint: local and disposable (docs/adr/0006-ledger-instead-of-checkpoint.md)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path


def fresh_checkpoint(directory: Path) -> Path:
    """Return an empty checkpoint folder, leftovers of earlier runs removed: the ledger alone remembers."""
    for leftover in directory.glob("checkpoint-*"):
        shutil.rmtree(leftover)
    return Path(tempfile.mkdtemp(prefix="checkpoint-", dir=directory))
