"""`make locks`: write down, with checksums, what the versions of ansible/versions.yml come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.artifacts.jvm import lock_jars
from millrace.artifacts.model import ArtifactError
from millrace.artifacts.wheelhouse import lock_wheels
from millrace.console import MillraceError, say
from millrace.paths import repo_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pairs(root: Path) -> Iterator[tuple[Path, Path]]:
    """Yield all that is locked (a pom.xml, a ``*.in`` or a pyproject.toml), each with its lock."""
    for pom in sorted(root.glob("roles/*/files/pom.xml")):
        yield pom, pom.with_name("jars.lock")
    for names in sorted(root.glob("roles/*/files/*.in")):
        yield names, names.with_suffix(".lock")
    for project in sorted(root.glob("services/*/*/pyproject.toml")):
        yield project, project.with_name("requirements.lock")


def main(_argv: list[str]) -> int:
    """Renew every lock; say what each holds."""
    root = repo_root()
    for wanted, lock in pairs(root):
        make, kind = (lock_jars, "jars") if wanted.suffix == ".xml" else (lock_wheels, "packages")
        try:
            number = make(wanted, lock)
        except ArtifactError as error:
            msg = f"{lock.relative_to(root)}: {error}"
            raise MillraceError(msg) from error
        say(f"{lock.relative_to(root)}: {number} {kind}")
    return 0
