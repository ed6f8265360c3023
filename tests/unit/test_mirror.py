"""Terraform's providers: what a root requires, when one is built, and what Terraform is told of it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from millrace.artifacts import golang, store
from millrace.artifacts import model as artifacts
from millrace.console import CommandError, MillraceError
from millrace.providers import mirror
from millrace.providers.terraform import Terraform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNREACHABLE = """
Error: Failed to query available provider packages

Could not retrieve the list of available versions for provider
some/thing: could not connect to registry.example.org: failed to
request discovery document
"""
# The same, wrapped elsewhere by a narrow terminal.
WRAPPED = UNREACHABLE.replace("could not connect to registry", "could not\nconnect to\nregistry")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root that requires a provider."""
    made = tmp_path / "root"
    (made / "source").mkdir(parents=True)
    (made / "versions.tf").write_text(
        'terraform {\n  required_providers {\n    thing = {\n      source  = "some/thing"\n'
        '      version = "1.2.3"\n    }\n  }\n}\n'
    )
    (made / "source" / "go.mod").write_text("module provider\n\nrequire example.org/thing/v2 v1.2.3\n")
    (made / "source" / "go.sum").write_text("example.org/thing/v2 v1.2.3 h1:aaaa=\n")
    return made


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of the test's own."""
    monkeypatch.setattr(mirror, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache"


class Go:
    """Go's client: writes what it was asked to build, and counts; with `says` it fails."""

    def __init__(self, says: str = "") -> None:
        """Remember how to end."""
        self.calls: list[Sequence[str]] = []
        self.says = says

    def __call__(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Build."""
        assert not env
        assert (cwd / "go.mod").exists()
        assert (cwd / "go.sum").exists()
        self.calls.append(command)
        if self.says:
            return subprocess.CompletedProcess(command, 1, self.says)
        with open(command[command.index("-o") + 1], "w", encoding="utf-8") as program:  # noqa: PTH123 - a word of argv
            program.write("program")
        return subprocess.CompletedProcess(command, 0, "")


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Go:
    """Stand in for Go."""
    made = Go()
    monkeypatch.setattr(mirror, "obtain", lambda recipe, cache: store.obtain(recipe, cache, made))
    return made


@pytest.mark.parametrize("name", ["libvirt", "openstack"])
def test_roots_and_locks_agree_on_a_version(name: str) -> None:
    pinned = mirror.required(mirror.ROOTS / name)
    assert pinned is not None
    assert pinned.module.startswith("github.com/")
    # A module of a root must not want another version than the root.
    node = (mirror.ROOTS.parent / "modules" / f"node-{name}" / "versions.tf").read_text(encoding="utf-8")
    assert f'version = "{pinned.version}"' in node


def test_the_lab_needs_no_provider() -> None:
    assert mirror.required(mirror.ROOTS / "lab") is None


def test_a_lock_of_another_version_is_refused(root: Path) -> None:
    lock = root / "source" / "go.mod"
    lock.write_text(lock.read_text().replace("v1.2.3", "v1.2.4"))
    with pytest.raises(MillraceError, match=r"go\.mod pins 1\.2\.4, but versions\.tf some/thing 1\.2\.3"):
        mirror.obtain_for(root, UNREACHABLE)


@pytest.mark.parametrize("said", [UNREACHABLE, WRAPPED])
def test_what_cannot_be_reached_is_built_and_mirrored(root: Path, go: Go, said: str) -> None:
    assert mirror.configuration(root) == "disable_checkpoint = true\n"
    assert mirror.obtain_for(root, said)
    assert go.calls[0][-1] == "example.org/thing/v2"
    assert "-mod=readonly" in go.calls[0]
    pinned = mirror.required(root)
    assert pinned is not None
    (program,) = mirror.mirror(pinned).glob("registry.example.org/some/thing/1.2.3/*/*")
    assert program.name == "terraform-provider-thing_v1.2.3"
    assert f'path    = "{mirror.mirror(pinned)}"' in mirror.configuration(root)


def test_a_program_of_another_version_is_not_used(root: Path, go: Go) -> None:
    mirror.obtain_for(root, UNREACHABLE)
    pinned = mirror.required(root)
    assert pinned is not None
    (program,) = mirror.mirror(pinned).glob("*/*/*/*/*/*")
    program.rename(program.with_name("terraform-provider-thing_v1.2.4"))
    assert mirror.configuration(root) == "disable_checkpoint = true\n"
    assert mirror.obtain_for(root, UNREACHABLE)
    assert f'path    = "{mirror.mirror(pinned)}"' in mirror.configuration(root)
    assert len(go.calls) == 1


def test_another_failure_is_not_built_for(root: Path, go: Go) -> None:
    assert not mirror.obtain_for(root, "Error: Unsupported block type")
    assert go.calls == []


def test_a_build_is_used_again_and_another_lock_is_built_anew(root: Path, go: Go) -> None:
    mirror.obtain_for(root, UNREACHABLE)
    mirror.obtain_for(root, UNREACHABLE)
    assert len(go.calls) == 1
    (root / "source" / "go.sum").write_text("example.org/thing/v2 v1.2.3 h1:bbbb=\n")
    assert mirror.configuration(root) == "disable_checkpoint = true\n"
    mirror.obtain_for(root, UNREACHABLE)
    assert len(go.calls) == 2


def test_a_failed_build_says_both_reasons(root: Path, go: Go) -> None:
    go.says = "verifying example.org/thing/v2: checksum mismatch"
    with pytest.raises(MillraceError, match=r"can.t be reached, and some/thing 1\.2\.3"):
        mirror.obtain_for(root, UNREACHABLE)


def test_without_go_the_missing_program_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MillraceError, match="the program go isn't installed"):
        mirror.obtain_for(root, UNREACHABLE)


def test_init_is_tried_again_after_a_build_and_once_alone(
    root: Path, tmp_path: Path, go: Go, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def call(self: Terraform, *words: str) -> str:
        calls.append((self.home / "cli.tfrc").read_text(encoding="utf-8"))
        if "filesystem_mirror" not in calls[-1]:
            raise CommandError(["terraform", *words], 1, UNREACHABLE)
        return ""

    monkeypatch.setattr(Terraform, "call", call)
    (root / ".terraform.lock.hcl").write_text("what a registry's file has\n")
    Terraform("terraform", root, tmp_path / "home").obtain_provider()
    assert len(calls) == 2
    assert not (root / ".terraform.lock.hcl").exists()
    assert len(go.calls) == 1


def test_a_key_follows_the_locks(root: Path) -> None:
    recipe = golang.GoRecipe("thing", "example.org/thing/v2", root / "source")
    key = artifacts.key_of(recipe)
    (root / "source" / "go.sum").write_text("")
    assert artifacts.key_of(recipe) != key
