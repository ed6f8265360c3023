"""A program built from a Go module, whose version and checksums a go.mod and go.sum in the clone name."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.artifacts.model import Runner, file_sha256, run_checked

if TYPE_CHECKING:
    from pathlib import Path

_RECIPE = "1"


@dataclass(frozen=True)
class GoRecipe:
    """The program `package`, built with the locks in the directory `locks`."""

    name: str
    package: str
    locks: Path
    source: str = "the Go module proxy"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            f"try `go mod download` in a copy of {self.locks}; a module proxy or another checksum database "
            "belongs into Go's own settings (`go env -w GOPROXY=…`)."
        )

    def inputs(self) -> dict[str, str]:
        """Return the package, both locks, and the kind of machine that it is built for."""
        return {
            "package": self.package,
            "go.mod": file_sha256(self.locks / "go.mod"),
            "go.sum": file_sha256(self.locks / "go.sum"),
            "machine": f"{platform.system()} {platform.machine()}",
            "arrangement": _RECIPE,
        }

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Build; raise ArtifactError where there is no Go, or where a module is not what go.sum says."""
        for lock in ("go.mod", "go.sum"):
            shutil.copy(self.locks / lock, work)
        # Read only: what go.sum doesn't have is refused, not added.
        words = ["go", "build", "-mod=readonly", "-trimpath", "-o", str(tree / self.name), self.package]
        run_checked(run, words, work)
