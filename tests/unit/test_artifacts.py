"""The controller's cache of artefacts: keys, verification, errors; without network."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millrace.artifacts.api import ArtifactError, JvmRecipe, PysparkRecipe, WheelhouseRecipe, obtain
from millrace.artifacts.model import key_of
from millrace.artifacts.pyspark import arrange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JAR = b"the content of a jar"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Maven:
    """Stands in for mvn: writes jars where it is told to, and counts its calls."""

    jars: dict[str, bytes] = field(default_factory=lambda: {"a-1.jar": JAR})
    status: int = 0
    output: str = ""
    calls: int = 0

    def __call__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Do what copy-dependencies does."""
        del env
        assert (cwd / "pom.xml").is_file()
        self.calls += 1
        if self.status == 0:
            option = next(part for part in command if part.startswith("-DoutputDirectory="))
            folder = Path(option.partition("=")[2])
            folder.mkdir()
            for name, content in self.jars.items():
                (folder / name).write_bytes(content)
        return subprocess.CompletedProcess(command, self.status, self.output)


@pytest.fixture
def recipe(tmp_path: Path) -> JvmRecipe:
    pom, lock = tmp_path / "pom.xml", tmp_path / "jars.lock"
    pom.write_text("<project/>", encoding="utf-8")
    lock.write_text(f"{sha256(JAR)}  a-1.jar\n", encoding="utf-8")
    return JvmRecipe("app", pom, lock)


def test_second_use_comes_from_the_cache(recipe: JvmRecipe, tmp_path: Path) -> None:
    maven = Maven()
    first = obtain(recipe, tmp_path / "cache", maven)
    second = obtain(recipe, tmp_path / "cache", maven)
    assert (first.fetched, second.fetched, maven.calls) == (True, False, 1)
    assert second.path == first.path
    assert second.sha256 == sha256(first.path.read_bytes())
    with tarfile.open(first.path) as archive:
        assert archive.getnames() == ["libs", "libs/a-1.jar"]


@pytest.mark.parametrize("part", ["pom", "lock"])
def test_key_changes_with_what_the_archive_is_made_of(recipe: JvmRecipe, part: str) -> None:
    before = key_of(recipe)
    path: Path = getattr(recipe, part)
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert key_of(recipe) != before


def test_equal_content_gives_equal_archives(recipe: JvmRecipe, tmp_path: Path) -> None:
    archives = [obtain(recipe, tmp_path / name, Maven()) for name in ("one", "two")]
    assert archives[0].sha256 == archives[1].sha256


@pytest.mark.parametrize("damage", ["flip", "cut", "checksum gone", "checksum empty"])
def test_damaged_entry_is_noticed_and_fetched_again(recipe: JvmRecipe, tmp_path: Path, damage: str) -> None:
    maven = Maven()
    path = obtain(recipe, tmp_path / "cache", maven).path
    good, noted = path.read_bytes(), path.with_name(path.name + ".sha256")
    if damage == "flip":
        path.write_bytes(good[:100] + b"!" + good[101:])
    elif damage == "cut":
        path.write_bytes(good[: len(good) // 2])
    elif damage == "checksum gone":
        noted.unlink()
    else:
        noted.write_text("", encoding="ascii")
    again = obtain(recipe, tmp_path / "cache", maven)
    assert (again.fetched, again.corrupt, maven.calls) == (True, True, 2)
    assert path.read_bytes() == good


def test_failed_download_says_what_from_where_and_what_to_do(recipe: JvmRecipe, tmp_path: Path) -> None:
    maven = Maven(status=1, output="[INFO] trying\n[ERROR] Could not transfer artifact a:a:1\n")
    with pytest.raises(ArtifactError) as raised:
        obtain(recipe, tmp_path / "cache", maven)
    text = str(raised.value)
    for part in (
        "artefact app",
        "Maven Central",
        "Could not transfer artifact a:a:1",
        "What to do:",
        "Maven's settings",
    ):
        assert part in text
    assert "[INFO]" not in text
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize(
    ("jars", "said"),
    [
        ({"a-1.jar": b"something else"}, "a-1.jar has another checksum"),
        ({"a-1.jar": JAR, "b-2.jar": b"b"}, "b-2.jar isn't in the lock"),
        ({"b-2.jar": b"b"}, "a-1.jar is missing"),
    ],
)
def test_jars_that_the_lock_does_not_name_are_refused(
    recipe: JvmRecipe, tmp_path: Path, jars: dict[str, bytes], said: str
) -> None:
    with pytest.raises(ArtifactError, match=said):
        obtain(recipe, tmp_path / "cache", Maven(jars))


def test_missing_client_program_is_named(recipe: JvmRecipe, tmp_path: Path) -> None:
    def absent(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError(command[0], cwd, env)

    with pytest.raises(ArtifactError, match="program mvn isn't installed"):
        obtain(recipe, tmp_path / "cache", absent)


def test_two_callers_at_once_fetch_once(recipe: JvmRecipe, tmp_path: Path) -> None:
    maven = Maven()
    threads = [threading.Thread(target=obtain, args=(recipe, tmp_path / "cache", maven)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert maven.calls == 1


def test_old_archives_of_a_name_are_dropped(recipe: JvmRecipe, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    other = obtain(JvmRecipe("app-admin", recipe.pom, recipe.lock), cache, Maven()).path
    for number in range(6):
        recipe.pom.write_text(f"<project>{number}</project>", encoding="utf-8")
        newest = obtain(recipe, cache, Maven()).path
    kept = sorted(cache.glob("app-[0-9a-f]*.tar"))
    assert newest in kept
    assert other.exists()
    assert len([path for path in kept if path != other]) == 3
    assert len(list(cache.glob("*.sha256"))) == 4


def test_wheelhouse_key_follows_sources_and_not_what_builds_leave(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (project / "src" / "a.py").write_text("a = 1\n", encoding="utf-8")
    recipe = WheelhouseRecipe("app", projects=[project])
    before = key_of(recipe)
    (project / "src" / "__pycache__").mkdir()
    (project / "src" / "__pycache__" / "a.pyc").write_bytes(b"x")
    (project / "src" / "app.egg-info").mkdir()
    (project / "src" / "app.egg-info" / "PKG-INFO").write_text("x", encoding="utf-8")
    assert key_of(recipe) == before
    (project / "src" / "a.py").write_text("a = 2\n", encoding="utf-8")
    assert key_of(recipe) != before
    assert key_of(WheelhouseRecipe("app", projects=[project], python_version="3.14")) != key_of(recipe)


def test_wheelhouse_of_several_locks_has_what_each_of_them_names(tmp_path: Path) -> None:
    asked: list[str] = []

    def pip(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        del cwd, env
        asked.append(command[command.index("--requirement") + 1])
        return subprocess.CompletedProcess(command, 0, "")

    locks = [tmp_path / name for name in ("own.lock", "empty.lock", "debugger.lock")]
    for lock, text in zip(
        locks, ("# Ours\na==1 --hash=sha256:1\n", "# none\n", "b==2 --hash=sha256:2\n"), strict=True
    ):
        lock.write_text(text, encoding="utf-8")
    made = obtain(WheelhouseRecipe("app", locks), tmp_path / "cache", pip)
    assert asked == [str(locks[0]), str(locks[2])]
    with tarfile.open(made.path) as archive:
        member = archive.extractfile("requirements.txt")
        assert member
        assert member.read() == b"a==1 --hash=sha256:1\nb==2 --hash=sha256:2\n"
    assert key_of(WheelhouseRecipe("app", locks[:1])) != made.key


def test_project_without_pyproject_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"artefact app: .* has no pyproject\.toml"):
        obtain(WheelhouseRecipe("app", projects=[tmp_path]), tmp_path / "cache")


def test_pyspark_key_follows_version_and_checksum() -> None:
    keys = {
        key_of(PysparkRecipe("4.1.3", "a")),
        key_of(PysparkRecipe("4.1.4", "a")),
        key_of(PysparkRecipe("4.1.3", "b")),
    }
    assert len(keys) == 3


def test_pyspark_is_arranged_as_a_spark_home(tmp_path: Path) -> None:
    source, tree = tmp_path / "pyspark-4", tmp_path / "tree"
    tree.mkdir()
    files = ["deps/bin/spark-class", "deps/bin/spark-class.cmd", "deps/sbin/start.sh", "deps/jars/a.jar"]
    files += ["deps/licenses/L", "deps/examples/e.py", "lib/pyspark.zip", "pyspark/__init__.py"]
    files += ["pyspark/sql/tests/test_a.py"]
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name, encoding="utf-8")
    arrange(source, tree)
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    wanted = ["bin/spark-class", "jars/a.jar", "licenses/L", "python/lib/pyspark.zip"]
    assert found == [*wanted, "python/pyspark/__init__.py", "sbin/start.sh"]
    assert (tree / "bin/spark-class").stat().st_mode & 0o111


def test_other_arrangement_of_pyspark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyspark-5").mkdir()
    with pytest.raises(ArtifactError, match="has no deps/bin"):
        arrange(tmp_path / "pyspark-5", tmp_path)
