"""Making locks: which versions are asked for, and what is refused; without network."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millrace.artifacts import pins
from millrace.artifacts.api import ArtifactError, JvmRecipe, lock_jars, lock_wheels
from millrace.artifacts.model import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Client:
    """Stands in for mvn and pip: writes files where it is told to, and notes what it was asked for."""

    files: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def __call__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Do what copy-dependencies, or pip download, does."""
        del cwd, env
        if command[0] == "mvn":
            self.asked = [word for word in command if ".version=" in word]
            (output,) = (word for word in command if word.startswith("-DoutputDirectory="))
            folder = Path(output.partition("=")[2])
            folder.mkdir()
        else:
            assert "--python-version=3.99" in command
            options = dict(itertools.pairwise(command))
            self.asked = [Path(options[option]).read_text() for option in ("--requirement", "--constraint")]
            folder = Path(options["--dest"])
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.artifacts.jvm.maven_versions", lambda: {"kafka": "4.3.1", "other": "1"})
    monkeypatch.setattr(pins, "python_version", lambda: "3.99")
    monkeypatch.setattr(pins, "pypi_versions", lambda: {"direct": "2.0", "shared": "3.0"})


@pytest.fixture
def pom(tmp_path: Path) -> Path:
    path = tmp_path / "pom.xml"
    path.write_text("<project><version>${kafka.version}</version></project>", encoding="utf-8")
    return path


def test_a_lock_of_jars_is_of_the_versions_that_are_wanted(pom: Path) -> None:
    client, lock = Client({"b-2.jar": b"b", "a-1.jar": b"a"}), pom.with_name("jars.lock")
    assert lock_jars(pom, lock, client) == 2
    assert client.asked == ["-Dkafka.version=4.3.1"]
    assert lock.read_text(encoding="utf-8") == f"{sha256(b'a')}  a-1.jar\n{sha256(b'b')}  b-2.jar\n"


def test_a_lock_of_jars_follows_versions_but_no_changed_jar(pom: Path) -> None:
    lock = pom.with_name("jars.lock")
    lock_jars(pom, lock, Client({"a-1.jar": b"a", "b-1.jar": b"b"}))
    before = lock.read_text(encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"a-1\.jar has another checksum"):
        lock_jars(pom, lock, Client({"a-1.jar": b"changed", "b-2.jar": b"b"}))
    assert lock.read_text(encoding="utf-8") == before
    assert lock_jars(pom, lock, Client({"a-2.jar": b"changed"})) == 1


def test_a_pom_without_a_version_is_refused(pom: Path) -> None:
    pom.write_text("<version>${unheard-of.version}</version>", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"names unheard-of, of which ansible/versions\.yml has no"):
        lock_jars(pom, pom.with_name("jars.lock"), Client({}))


def test_the_key_of_jars_follows_the_versions_that_the_pom_uses(pom: Path) -> None:
    lock = pom.with_name("jars.lock")
    lock.write_text("", encoding="utf-8")
    keys = [
        key_of(JvmRecipe("app", pom, lock, {"kafka": kafka, "other": other}))
        for kafka, other in (("4.3.1", "1"), ("4.3.2", "1"), ("4.3.1", "2"))
    ]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, dependencies in (("app", '"common", "direct"'), ("common", '"shared"')):
        folder = tmp_path / "own" / name
        folder.mkdir(parents=True)
        text = f'[project]\nname = "{name}"\ndependencies = [{dependencies}]\n'
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return tmp_path / "own" / "app" / "pyproject.toml"


def test_a_lock_of_packages_holds_those_of_our_projects_too(project: Path) -> None:
    lock = project.with_name("requirements.lock")
    lock.write_text("direct==1.0 --hash=sha256:x\nindirect==7 --hash=sha256:y\n", encoding="utf-8")
    client = Client({"direct-2.0-py3-none-any.whl": b"d", "shared-3.0-py3-none-any.whl": b"s"})
    assert lock_wheels(project, lock, client) == 2
    assert client.asked == ["direct==2.0\nshared==3.0\n", "indirect==7\n"]
    assert lock.read_text(encoding="utf-8").splitlines()[1:] == [
        f"direct==2.0 --hash=sha256:{sha256(b'd')}",
        f"shared==3.0 --hash=sha256:{sha256(b's')}",
    ]


def test_a_package_that_has_changed_under_its_version_is_refused(project: Path) -> None:
    lock = project.with_name("requirements.lock")
    lock_wheels(project, lock, Client({"direct-2.0-py3-none-any.whl": b"d"}))
    with pytest.raises(ArtifactError, match=r"direct==2\.0 has another checksum than the lock says"):
        lock_wheels(project, lock, Client({"direct-2.0-py3-none-any.whl": b"changed"}))


def test_a_list_of_packages_may_have_comments_and_only_names(tmp_path: Path) -> None:
    wanted = tmp_path / "app.in"
    wanted.write_text("# Why\ndirect\n\nshared # why\n", encoding="utf-8")
    assert pins.requirements(wanted, pins.pypi_versions()) == {"direct": "2.0", "shared": "3.0"}
    wanted.write_text("direct==2.0\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"names direct==2\.0, of which"):
        pins.requirements(wanted, pins.pypi_versions())
