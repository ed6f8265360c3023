"""JVM software from Maven Central: the jars that a pom.xml names, as ``libs/*.jar``."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from millrace.artifacts.model import ArtifactError, Runner, file_sha256, run_checked, run_command
from millrace.artifacts.pins import maven_versions, used_by

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


@dataclass(frozen=True)
class JvmRecipe:
    """The runtime dependencies of ``pom``, each held against its checksum in ``lock``."""

    name: str
    pom: Path
    lock: Path
    """Lines of SHA-256 and jar name, as sha256sum writes them; made by ``lock_jars``."""
    versions: dict[str, str] = field(default_factory=maven_versions)
    """What ``${name.version}`` in the pom stands for."""
    source: str = "Maven Central"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            f"try `mvn -f {self.pom} {' '.join(self._definitions())} dependency:resolve`; a mirror or proxy "
            "belongs into Maven's settings. If one jar's checksum is wrong, delete that jar from Maven's "
            f"local repository (~/.m2) and try again; after a wanted change of {self.pom.name} or of "
            "ansible/versions.yml renew the lock: `make locks`."
        )

    def inputs(self) -> dict[str, str]:
        """Both files, the versions and the plugin."""
        return {
            "pom": file_sha256(self.pom),
            "lock": file_sha256(self.lock),
            "versions": " ".join(self._definitions()),
            "plugin": _PLUGIN,
        }

    def _definitions(self) -> list[str]:
        return _definitions(self.pom, self.versions)

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Copy the jars and refuse any that the lock doesn't name."""
        libs = tree / "libs"
        _copy_jars(self.pom, self.versions, libs, work, run)
        wanted = parse_lock(self.lock.read_text(encoding="utf-8"))
        _compare(wanted, {path.name: file_sha256(path) for path in libs.iterdir()})


def lock_jars(pom: Path, lock: Path, run: Runner = run_command) -> int:
    """Write the lock of a pom's jars as they are fetched now; returns their number.

    A jar that the lock has already, with another checksum, is no new version: ArtifactError.
    """
    with tempfile.TemporaryDirectory() as folder:
        libs = Path(folder, "libs")
        _copy_jars(pom, maven_versions(), libs, Path(folder), run)
        found = {path.name: file_sha256(path) for path in sorted(libs.iterdir())}
    known = parse_lock(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    common = known.keys() & found
    _compare({name: known[name] for name in common}, {name: found[name] for name in common})
    lock.write_text("".join(f"{checksum}  {name}\n" for name, checksum in found.items()), encoding="utf-8")
    return len(found)


def parse_lock(text: str) -> dict[str, str]:
    """Read jar name -> SHA-256 from a lock."""
    entries = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name: checksum for checksum, name in entries}


def _definitions(pom: Path, versions: dict[str, str]) -> list[str]:
    return [f"-D{name}.version={version}" for name, version in used_by(pom, versions).items()]


def _copy_jars(pom: Path, versions: dict[str, str], libs: Path, work: Path, run: Runner) -> None:
    shutil.copy(pom, work / "pom.xml")  # Maven may write beside the pom
    command = ["mvn", "-B", "-ntp", f"{_PLUGIN}:copy-dependencies", "-DincludeScope=runtime"]
    run_checked(run, [*command, *_definitions(pom, versions), f"-DoutputDirectory={libs}"], work)
    if not libs.is_dir():
        message = f"{pom} names no dependency"
        raise ArtifactError(message)


def _compare(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Raise with the names of jars that are missing, unexpected or not what the lock says."""
    wrong = [
        f"{name} has another checksum"
        for name in sorted(wanted)
        if found.get(name, "") not in ("", wanted[name])
    ]
    wrong += [f"{name} is missing" for name in sorted(set(wanted) - set(found))]
    wrong += [f"{name} isn't in the lock" for name in sorted(set(found) - set(wanted))]
    if wrong:
        message = "the jars aren't those of the lock: " + "; ".join(wrong)
        raise ArtifactError(message)
