"""What the Makefile works out itself: which Terraform it takes, and what its list of targets needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import shell

from millrace import paths

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
# Says which version it is, and notes that it was asked.
PROGRAM = """#!/bin/sh
echo "$0" >> {log}
echo '{{"terraform_version": "{version}"}}'
"""
# What the Makefile itself and a recipe need of the machine.
NEEDED = ("awk", "bash", "cat", "cut", "sh", "sha256sum")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a folder that is all of PATH: no Terraform in it yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, f"{name} is needed"
        (folder / name).symlink_to(found)
    return folder


def install(path: Path, name: str, version: str) -> None:
    """Put a stand-in for Terraform or OpenTofu of this version onto PATH."""
    (path / name).write_text(PROGRAM.format(log=path.parent / "log", version=version), encoding="utf-8")
    (path / name).chmod(0o755)


def make(path: Path, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run make in the root of the clone with nothing but this on PATH."""
    program = shutil.which("make")
    assert program, "make is needed"
    return subprocess.run(  # noqa: S603 - no shell, fixed words
        [program, *words, f"PYTHON={python}"],
        env={**shell.environment(), "PATH": str(path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("terraform", "tofu", "taken"),
    [("1.4.6", "1.8.0", "tofu"), ("1.5.0", "1.8.0", "terraform"), (None, "1.6.2", "tofu")],
)
def test_the_checks_take_the_terraform_that_is_new_enough(
    path: Path, terraform: str | None, tofu: str, taken: str
) -> None:
    if terraform:
        install(path, "terraform", terraform)
    install(path, "tofu", tofu)
    done = make(path, "-n", "check-terraform")
    assert done.returncode == 0, done.stderr
    called = re.findall(r"CHECKPOINT_DISABLE=1 (\S+) (?:fmt|-chdir)", done.stdout)
    assert called == [taken] * 3
    asked = (path.parent / "log").read_text(encoding="utf-8").splitlines()
    assert len(asked) == len(set(asked)), "each is asked once"


def test_without_one_that_will_do_it_says_what_to_install(path: Path) -> None:
    install(path, "terraform", "1.4.6")
    done = make(path, "-n", "check-terraform")
    assert done.returncode == 2
    assert "Terraform or OpenTofu >= 1.5 is needed" in done.stderr


@pytest.mark.parametrize("python", ["false", sys.executable])
def test_the_list_of_targets_needs_no_python_and_looks_for_no_terraform(path: Path, python: str) -> None:
    install(path, "terraform", "1.8.0")
    done = make(path, "help", python=python)
    assert done.returncode == 0, done.stderr
    assert "make check " in done.stdout
    assert not (path.parent / "log").exists()
