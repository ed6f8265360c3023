"""Python software from PyPI: wheels for the nodes' Python, with a requirements file that names each by hash.

On the node: ``pip install --no-index --find-links DIR --require-hashes -r DIR/requirements.txt``.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.artifacts import pins
from millrace.artifacts.model import ArtifactError, Runner, file_sha256, run_checked, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RECIPE = "2"
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
_LEFT_OUT = ("__pycache__", "build", "dist", "tests", "*.egg-info", ".*")
_REPRODUCIBLE = {"SOURCE_DATE_EPOCH": "946684800", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class WheelhouseRecipe:
    """The wheels that ``requirements`` pin with hashes, and those built from local ``projects``."""

    name: str
    requirements: Sequence[Path] = ()
    """Locks with lines ``name==version --hash=sha256:…``, together all that is installed; see lock_wheels."""
    projects: Sequence[Path] = ()
    """Folders with a pyproject.toml whose wheels are built here."""
    python_version: str = field(default_factory=pins.python_version)
    platforms: Sequence[str] = _PLATFORMS
    source: str = "PyPI"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            "check that pip reaches its index (`pip download --no-deps --dest /tmp pip`); an index mirror or "
            "proxy belongs into pip's configuration. If a hash differs, look at why before renewing the "
            "lock: `make locks`."
        )

    def inputs(self) -> dict[str, str]:
        """Cover the locks, the projects' sources, what builds them, and the target."""
        projects = {f"project {path.name}": tree_sha256(path) for path in self.projects}
        lock = " ".join(file_sha256(path) for path in self.requirements)
        target = f"{self.python_version} {' '.join(self.platforms)}"
        builder = {"builder": f"setuptools {version('setuptools')}"} if projects else {}
        return {"lock": lock, "target": target, "version": _RECIPE, **builder, **projects}

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Fetch what is pinned, build what is ours, and write the requirements of both."""
        lines = []
        for lock in self.requirements:
            if wanted := _requirement_lines(lock):
                arguments = ["--require-hashes", "--no-deps", "--requirement", str(lock.resolve())]
                _download(run, tree, self.python_version, self.platforms, arguments)
                lines += wanted
        for project in self.projects:
            lines.append(_build_wheel(project, tree, work, run))
        (tree / "requirements.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def lock_wheels(wanted: Path, lock: Path, run: Runner = run_command) -> int:
    """Resolve what a ``*.in`` or a pyproject.toml names, for the nodes' Python; returns the number of wheels.

    What only these packages need stays in the version that the lock has already. A wheel that the lock has
    with another checksum is no new version: ArtifactError.
    """
    direct = pins.requirements(wanted, pins.pypi_versions())
    parts = (line.split(" --hash=") for line in (_requirement_lines(lock) if lock.exists() else ()))
    known = {pin: checksums for pin, *checksums in parts}
    with tempfile.TemporaryDirectory() as folder:
        wheels, named, kept = (Path(folder, name) for name in ("wheels", "named.txt", "kept.txt"))
        wheels.mkdir()
        _write(named, [f"{name}=={version}" for name, version in direct.items()])
        _write(kept, [pin for pin in known if pin.partition("==")[0] not in direct])
        arguments = ["--requirement", str(named), "--constraint", str(kept)]
        if direct:
            _download(run, wheels, pins.python_version(), _PLATFORMS, arguments)
        lines = sorted(_pinned(wheel) for wheel in wheels.glob("*.whl"))
    for pin, _, checksum in (line.partition(" --hash=") for line in lines):
        if checksum not in known.get(pin, [checksum]):
            message = f"{pin} has another checksum than the lock says: {checksum}"
            raise ArtifactError(message)
    _write(lock, [f"# Made from {wanted.name} and ansible/versions.yml by `make locks`; don't edit.", *lines])
    return len(lines)


def tree_sha256(folder: Path) -> str:
    """Hash of a project's files, names and contents, without what builds and tests leave behind."""
    digest = hashlib.sha256()
    if not (folder / "pyproject.toml").is_file():
        message = f"{folder} has no pyproject.toml"
        raise FileNotFoundError(message)
    for path in _source_files(folder):
        digest.update(f"{path.relative_to(folder)}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _source_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        left_out = any(Path(part).match(pattern) for part in parts for pattern in _LEFT_OUT)
        if path.is_file() and not left_out:
            yield path


def _download(
    run: Runner, folder: Path, python_version: str, platforms: Sequence[str], arguments: Sequence[str]
) -> None:
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python_version}"]
    target += [f"--platform={platform}" for platform in platforms]
    run_checked(
        run, [*_PIP, "download", "--quiet", "--dest", str(folder.resolve()), *target, *arguments], folder
    )


def _build_wheel(project: Path, tree: Path, work: Path, run: Runner) -> str:
    """Build a project's wheel from a copy, as a build writes beside its sources; returns its requirement.

    The tool environment's pinned setuptools builds it: an environment of its own, which pip would make for
    each project, would have the newest one, and takes ten times as long.
    """
    copy, built = work / project.name, work / f"{project.name}.wheel"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    command = [
        *_PIP,
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(built.resolve()),
        str(copy.resolve()),
    ]
    run_checked(run, command, work, _REPRODUCIBLE)
    wheels = list(built.glob("*.whl"))
    if len(wheels) != 1 or not wheels[0].name.endswith("-none-any.whl"):
        message = f"{project} gave {[wheel.name for wheel in wheels]} instead of one wheel for every platform"
        raise ArtifactError(message)
    return _pinned(Path(shutil.move(wheels[0], tree / wheels[0].name)))


def _pinned(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name.replace('_', '-').lower()}=={version} --hash=sha256:{file_sha256(wheel)}"


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _requirement_lines(lock: Path) -> list[str]:
    """Return a lock's requirements, one a line, without comments and continuations."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
