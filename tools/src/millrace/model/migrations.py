"""The folder of a database's migrations, checked as the module postgresql_migrations would on the node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# It ends the transaction that records the migration.
_TRANSACTION = re.compile(
    r"^\s*(?:BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION)(?:\s+(?:WORK|TRANSACTION))?\s*;",
    re.IGNORECASE | re.MULTILINE,
)


def migration_problems(folder: Path) -> Iterator[str]:
    """Yield what is wrong with a folder of migrations, each naming the file."""
    if not folder.is_dir():
        yield f"{folder} must be a folder of NNNN_name.sql files"
        return
    number = 0
    # An editor's hidden files are no migrations, nor does a deploy take them.
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        match = _NAME.fullmatch(path.name)
        if match is None or not path.is_file():
            yield f"{path} must be a file NNNN_name.sql (a-z, 0-9, _); move it elsewhere"
            continue
        number += 1
        if int(match[1]) != number:
            yield f"{path} must have the number {number:04d}: there are no gaps and no repeats"
            number = int(match[1])
        if wrong := _content(path):
            yield f"{path} {wrong}"
    if not number:
        yield f"{folder} must have a file such as 0001_tables.sql"


def _content(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"must be readable and UTF-8: {error}"
    if not text.strip():
        return "must not be empty"
    if statement := _TRANSACTION.search(text):
        return f"must not have {statement[0].strip()!r}, which ends the transaction that records it"
    return ""
