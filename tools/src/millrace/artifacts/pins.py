"""The wanted versions of jars and of Python packages: those of ansible/versions.yml, and no others."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from millrace.artifacts.model import ArtifactError
from millrace.paths import repo_root
from millrace.yamlio import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def maven_versions() -> dict[str, str]:
    """Return name -> version; a pom.xml calls one ``${name.version}``."""
    return _section("maven")


def pypi_versions() -> dict[str, str]:
    """Return package -> version; a ``*.in`` or a pyproject.toml names the package alone."""
    return _section("pypi")


def _section(name: str) -> dict[str, str]:
    versions = load_yaml(repo_root() / "ansible" / "versions.yml")
    section = versions[name] if isinstance(versions, dict) else {}
    return {package: str(version) for package, version in section.items()}


def used_by(pom: Path, versions: dict[str, str]) -> dict[str, str]:
    """Return the versions that a pom.xml refers to; ArtifactError for one that there isn't."""
    names = set(re.findall(r"\$\{([\w-]+)\.version\}", pom.read_text(encoding="utf-8")))
    return {name: _version(pom, name, versions) for name in sorted(names)}


def requirements(wanted: Path, versions: dict[str, str]) -> dict[str, str]:
    """Return package -> version of what a ``*.in`` or a pyproject.toml names; ArtifactError for one without.

    A project's requirements include those of the projects beside it that it depends on.
    """
    if wanted.suffix == ".toml":
        names = set(_dependencies(wanted))
    else:
        lines = (line.partition("#")[0].strip() for line in wanted.read_text(encoding="utf-8").splitlines())
        names = {line for line in lines if line}
    return {name: _version(wanted, name, versions) for name in sorted(names)}


def _dependencies(project: Path) -> Iterator[str]:
    for name in tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("dependencies", []):
        beside = project.parent.parent / name / project.name
        if beside.is_file():
            yield from _dependencies(beside)
        else:
            yield name


def _version(wanted: Path, name: str, versions: dict[str, str]) -> str:
    if name not in versions:
        message = f"{wanted} names {name}, of which ansible/versions.yml has no version"
        raise ArtifactError(message)
    return versions[name]
