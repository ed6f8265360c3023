"""JVM software from Maven Central: the jars that a pom.xml names, as ``libs/*.jar``."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from millrace.artifacts.model import ArtifactError, Runner, file_sha256, run_checked, run_command

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


@dataclass(frozen=True)
class JvmRecipe:
    """The runtime dependencies of ``pom``, each held against its checksum in ``lock``."""

    name: str
    pom: Path
    lock: Path
    """Lines of SHA-256 and jar name, as sha256sum writes them; made by ``lock_jars``."""
    source: str = "Maven Central"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            f"try `mvn -f {self.pom} dependency:resolve`; a mirror or proxy belongs into Maven's settings. "
            "If one jar's checksum is wrong, delete that jar from Maven's local repository (~/.m2) and try "
            f"again; after a wanted change of {self.pom.name} renew the lock: "
            "`python -m millrace.artifacts jars POM LOCK`."
        )

    def inputs(self) -> dict[str, str]:
        """Both files and the plugin."""
        return {"pom": file_sha256(self.pom), "lock": file_sha256(self.lock), "plugin": _PLUGIN}

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Copy the jars and refuse any that the lock doesn't name."""
        libs = tree / "libs"
        _copy_jars(self.pom, libs, work, run)
        wanted = parse_lock(self.lock.read_text(encoding="utf-8"))
        _compare(wanted, {path.name: file_sha256(path) for path in libs.iterdir()})


def lock_jars(pom: Path, lock: Path) -> int:
    """Write the lock of a pom's jars as they are fetched now; returns their number."""
    with tempfile.TemporaryDirectory() as folder:
        libs = Path(folder, "libs")
        _copy_jars(pom, libs, Path(folder), run_command)
        lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(libs.iterdir())]
    lock.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def parse_lock(text: str) -> dict[str, str]:
    """Read jar name -> SHA-256 from a lock."""
    entries = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name: checksum for checksum, name in entries}


def _copy_jars(pom: Path, libs: Path, work: Path, run: Runner) -> None:
    shutil.copy(pom, work / "pom.xml")  # Maven may write beside the pom
    command = ["mvn", "-B", "-ntp", f"{_PLUGIN}:copy-dependencies", "-DincludeScope=runtime"]
    run_checked(run, [*command, f"-DoutputDirectory={libs}"], work)
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
