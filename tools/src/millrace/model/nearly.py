"""Folders of services/ that look as if they declared an application, and declare none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEARLY = re.compile(r"applications?\.(yml|yaml|json)([.~_-].*)?", re.IGNORECASE)


def nearly_declared(services: Path, right: str) -> Iterator[str]:
    """Yield a problem for each file that is almost called `right`: its folder would be passed over.

    Links that lead nowhere count as files.
    """
    for path in sorted(services.glob("*/*")):
        folder = path.parent
        where = f"services/{folder.name}/{path.name}"
        if path.name == right and not path.is_file():
            what = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "no file"
            yield f"{where}: is {what}; it must be the declaration"
        elif _NEARLY.fullmatch(path.name) and not (folder / right).is_file() and path.name != right:
            yield f"{where}: is not read; a declaration is called {right}, so rename it"
