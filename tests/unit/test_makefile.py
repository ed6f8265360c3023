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
from millrace.model.applications import load_applications

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
# Says which version it is, and notes that it was asked.
PROGRAM = """#!/bin/sh
echo "$0" >> {log}
echo '{{"terraform_version": "{version}"}}'
"""
# What the Makefile itself and a recipe need of the machine.
NEEDED = ("awk", "bash", "cat", "cut", "locale", "sh", "sha256sum")


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
    called = re.findall(r"CHECKPOINT_DISABLE=1 (\S+) fmt", done.stdout)
    assert called == [taken]
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


def test_the_list_has_every_command_of_every_application(path: Path) -> None:
    said = make(path, "help", python="false").stdout.splitlines()
    listed = {tuple(line.split(maxsplit=2)[1:]) for line in said if line.startswith("  make ")}
    declared = {
        (name, command.help)
        for application in load_applications(ROOT / "services").values()
        for name, command in application.commands.items()
    }
    assert declared
    assert declared <= listed


def test_a_wrong_target_is_one_line_that_lists_the_right_ones_and_makes_no_tools(path: Path) -> None:
    # No such tool environment is there, and none can be made.
    done = make(path, "hist", "TOOLS=nowhere", python="false")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = shell.said(done.stderr)
    assert line.startswith("no target 'hist'; TARGET is one of: up, bootstrap, ")
    assert line.endswith(", ".join(load_applications(ROOT / "services")["sensors"].commands))


@pytest.mark.parametrize("words", [("history",), ("-k", "history"), ("-B", "history")])
def test_a_command_of_an_application_is_handed_on(path: Path, words: tuple[str, ...]) -> None:
    done = make(path, "-n", *words, "TOOLS=ansible.cfg", "MILLRACE=tool")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tool run 'history'"
    assert "tool run 'Makefile'" not in done.stdout


def test_what_a_command_prints_is_all_that_is_printed(path: Path) -> None:
    done = make(path, "history", "TOOLS=ansible.cfg", "MILLRACE=echo", python="false")
    assert (done.returncode, done.stdout, done.stderr) == (0, "run history\n", "")


@pytest.mark.parametrize(
    "text", ["$HOSTNAME", "$(HOME) $$ $x", 'it\'s "quoted"', "`id`; a | b", "two  words"]
)
@pytest.mark.parametrize(
    ("target", "variables", "words"),
    [
        ("ssh", ("CMD",), ["ssh", "n", None]),
        ("logs", ("SERVICE",), ["logs", None]),
        ("consume", ("TOPIC",), ["consume", None]),
        ("produce", ("TOPIC",), ["produce", None]),
        ("restart", ("SERVICE",), ["restart", None]),
        ("dev", ("SERVICE",), ["dev", None]),
        ("deploy", ("LIMIT", "TAGS"), ["ansible/playbooks/site.yml", "--limit", None, "--tags", None]),
        # Whatever an application's command declares: the tool reads it from its environment.
        ("history", ("SENSOR",), ["run", "history", "SENSOR=", None]),
    ],
)
def test_what_the_caller_wrote_reaches_the_tool_as_it_is(
    path: Path, target: str, variables: tuple[str, ...], words: list[str | None], text: str
) -> None:
    tool = path / "tool"
    tool.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" ${SENSOR:+SENSOR= "$SENSOR"}\n', encoding="utf-8")
    tool.chmod(0o755)
    stubs = ("TOOLS=ansible.cfg", f"MILLRACE={tool}", f"PLAYBOOK={tool}")
    done = make(path, target, *stubs, "NODE=n", *(f"{name}={text}" for name in variables))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-len(words) :] == [text if word is None else word for word in words]
