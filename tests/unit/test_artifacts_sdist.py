"""Single files out of a source distribution; without network."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from millrace.artifacts.api import ArtifactError, SdistRecipe, obtain
from millrace.artifacts.model import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Pip:
    """Stands in for pip: puts a source distribution where it is told to, and remembers what was asked for."""

    files: dict[str, bytes]
    wanted: str = ""

    def __call__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Do what `pip download` does."""
        del env
        assert {"--require-hashes", "--no-deps", "--no-binary=tables"} <= set(command)
        self.wanted = Path(command[command.index("--requirement") + 1]).read_text(encoding="ascii")
        source = cwd / "source" / "tables-1.0"
        for name, content in self.files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
            (source / name).chmod(0o755)
        with tarfile.open(
            Path(command[command.index("--dest") + 1]) / "tables-1.0.tar.gz", "w:gz"
        ) as archive:
            archive.add(source, arcname="tables-1.0")
        return subprocess.CompletedProcess(command, 0, "")


SDIST = SdistRecipe("weather", "tables", "1.0", "ab" * 32, ["tables/data/weather.csv"])


def test_wanted_files_of_a_source_distribution_and_no_others(tmp_path: Path) -> None:
    pip = Pip({"tables/data/weather.csv": b"a,b\n", "tables/data/flights.csv": b"", "setup.py": b""})
    found = obtain(SDIST, tmp_path, pip)
    assert pip.wanted == f"tables==1.0 --hash=sha256:{'ab' * 32}\n"
    with tarfile.open(found.path) as archive:
        assert [(member.name, member.mode) for member in archive] == [("weather.csv", 0o644)]
        content = archive.extractfile("weather.csv")
        assert content is not None
        assert content.read() == b"a,b\n"


def test_a_file_that_the_source_distribution_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"tables 1\.0 has no file tables/data/weather\.csv"):
        obtain(SDIST, tmp_path, Pip({"setup.py": b""}))


@pytest.mark.parametrize(
    "changes", [{"package": "other"}, {"version": "2.0"}, {"sha256": "cd" * 32}, {"files": ["a", "b"]}]
)
def test_key_of_a_source_distribution_follows_what_it_is_made_of(changes: dict[str, Any]) -> None:
    assert key_of(replace(SDIST, **changes)) != key_of(SDIST)
