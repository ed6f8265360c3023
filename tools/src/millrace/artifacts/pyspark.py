"""Spark from PyPI's source distribution of pyspark, arranged as a SPARK_HOME.

The distribution carries Spark's jars and scripts under ``deps/``; installing it with pip on each node would
build a 485 MB wheel there. The archive has bin, sbin, jars, licenses, python/lib (the zips that executors
load) and python/pyspark (for drivers: PYTHONPATH=$SPARK_HOME/python:$SPARK_HOME/python/lib/py4j-*-src.zip).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.artifacts.model import ArtifactError, Runner
from millrace.artifacts.sdist import fetch_sdist

if TYPE_CHECKING:
    from pathlib import Path

_RECIPE = "2"
_PLACES = {
    "deps/bin": "bin",
    "deps/sbin": "sbin",
    "deps/jars": "jars",
    "deps/licenses": "licenses",
    "lib": "python/lib",
    "pyspark": "python/pyspark",
}
# connect-repl: 59 MB for the interactive Spark Connect client, which nothing here starts.
_LEFT_OUT = ("tests", "__pycache__", "*.cmd", "sparkR", "connect-repl")


@dataclass(frozen=True)
class PysparkRecipe:
    """One version of pyspark, its source distribution held against ``sha256``."""

    version: str
    sha256: str
    name: str = "pyspark"
    source: str = "PyPI"

    @property
    def advice(self) -> str:
        """Point at the client's own settings, the usual reason."""
        return (
            f"try `pip download --no-deps --no-binary=pyspark pyspark=={self.version}` (455 MB); an index "
            "mirror or proxy belongs into pip's configuration. If the hash differs, look at why before "
            "changing ansible/versions.yml."
        )

    def inputs(self) -> dict[str, str]:
        """Version, checksum and this arrangement."""
        return {"version": self.version, "sha256": self.sha256, "arrangement": _RECIPE}

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Fetch with pip, which checks the hash, and arrange."""
        arrange(fetch_sdist("pyspark", self.version, self.sha256, work, run), tree)


def arrange(distribution: Path, tree: Path) -> None:
    """Move the parts of an unpacked source distribution that a cluster needs to their place in SPARK_HOME."""
    for origin, place in _PLACES.items():
        if not (distribution / origin).is_dir():
            message = (
                f"the source distribution has no {origin}: its arrangement changed, see artifacts/pyspark.py"
            )
            raise ArtifactError(message)
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(distribution / origin, tree / place)
    for pattern in _LEFT_OUT:
        for path in list(tree.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for script in (tree / "bin").iterdir():
        script.chmod(0o755)
    for script in (tree / "sbin").iterdir():
        script.chmod(0o755)
