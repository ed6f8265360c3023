"""What a program's project must have, so that it can be installed and started on a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.artifacts.pins import local_dependencies, project_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from millrace.yamlio import Reader

LOCK = "requirements.lock"


def read_projects(reader: Reader, own: Path, where: str) -> tuple[Path, ...]:
    """Return the folders of a project and of those beside it that it needs, noting what is missing.

    Raises InvalidInputError for a pyproject.toml that can't be read: several programs may have it in common.
    """
    wanted = own / "pyproject.toml"
    if not wanted.is_file():
        reader.add(where, f"there is no {wanted}")
        return (own,)
    if not (own / LOCK).is_file():
        reader.add(where, f"there is no {own / LOCK}: run `make locks`")
    return tuple(local_dependencies(own))


def check_scripts(reader: Reader, own: Path, wanted: Iterable[tuple[str, str]]) -> None:
    """Note each command, given with its key path, that the project doesn't install.

    Raises InvalidInputError: see read_projects.
    """
    path = own / "pyproject.toml"
    if not path.is_file():
        return  # told by read_projects
    scripts = project_table(own).get("scripts")
    known = list(scripts) if isinstance(scripts, dict) else []
    for where, name in wanted:
        if name not in known:
            listed = ", ".join(known) or "none"
            reader.add(where, f"must be one of [project.scripts] of {path} ({listed}), not {name!r}")
