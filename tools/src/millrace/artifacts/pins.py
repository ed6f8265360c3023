"""The wanted versions of all that is fetched: those of ansible/versions.yml, and no others."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from millrace.artifacts.model import ArtifactError
from millrace.paths import repo_root
from millrace.yamlio import InvalidInputError, load_yaml

if TYPE_CHECKING:
    from pathlib import Path


def versions() -> dict[str, Any]:
    """Return the whole file; InvalidInputError where it can't be read or holds no mapping."""
    path = repo_root() / "ansible" / "versions.yml"
    found = load_yaml(path)
    if not isinstance(found, dict):
        raise InvalidInputError([f"{path}: expected a mapping of names and versions"])
    return found


def python_version() -> str:
    """Return the version of the nodes' Python, such as 3.13."""
    return str(versions()["python"])


def maven_versions() -> dict[str, str]:
    """Return name -> version; a pom.xml calls one ``${name.version}``."""
    return _section("maven")


def pypi_versions() -> dict[str, str]:
    """Return package -> version; a ``*.in`` or a pyproject.toml names the package alone."""
    return _section("pypi")


def _section(name: str) -> dict[str, str]:
    return {package: str(version) for package, version in versions()[name].items()}


def used_by(pom: Path, wanted: dict[str, str]) -> dict[str, str]:
    """Return the versions that a pom.xml refers to; ArtifactError for one that there isn't."""
    names = set(re.findall(r"\$\{([\w-]+)\.version\}", pom.read_text(encoding="utf-8")))
    return {name: _version(pom, name, wanted) for name in sorted(names)}


def requirements(listed: Path, wanted: dict[str, str]) -> dict[str, str]:
    """Return package -> version of what a ``*.in`` or a pyproject.toml names; ArtifactError for one without.

    A project's requirements include those of the projects beside it that it depends on.
    """
    if listed.suffix == ".toml":
        folders = local_dependencies(listed.parent)
        names = {name for folder in folders for name in _dependencies(folder)}
        names -= {project_name(folder) for folder in folders}
    else:
        lines = (line.partition("#")[0].strip() for line in listed.read_text(encoding="utf-8").splitlines())
        names = {line for line in lines if line}
    return {name: _version(listed, name, wanted) for name in sorted(names)}


def project_name(folder: Path) -> str:
    """Return the name of the Python project in a folder, as its pyproject.toml says."""
    return str(project_table(folder)["name"])


def projects(services: Path) -> dict[str, Path]:
    """Return name -> folder of the Python projects in `services` (APPLICATION/PROJECT/pyproject.toml)."""
    folders = (path.parent for path in sorted(services.glob("*/*/pyproject.toml")))
    return {project_name(folder): folder for folder in folders}


def local_dependencies(folder: Path) -> list[Path]:
    """Return the folders of a project and of those of the clone that it needs, each after what it needs."""
    ours = projects(folder.parents[1])
    found: list[Path] = []
    for name in _dependencies(folder):
        if name in ours:
            found += [path for path in local_dependencies(ours[name]) if path not in found]
    return [*found, folder]


def project_table(folder: Path) -> dict[str, Any]:
    """Return the table `project` of a pyproject.toml. Raises InvalidInputError where there is none."""
    path = folder / "pyproject.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("project")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError([f"{path}: can't be read as TOML: {error}"]) from error
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise InvalidInputError(
            [f"{path}: project.name: is missing; the file needs a table [project] with it"]
        )
    return found


def _dependencies(folder: Path) -> list[str]:
    return [str(name) for name in project_table(folder).get("dependencies", [])]


def _version(naming: Path, name: str, wanted: dict[str, str]) -> str:
    if name not in wanted:
        message = f"{naming} names {name}, of which ansible/versions.yml has no version"
        raise ArtifactError(message)
    return wanted[name]
