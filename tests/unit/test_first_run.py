"""The first run, anywhere: paths, locales and proxies of the operator's machine and of a node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import shell
import yaml

from millrace import cli, paths
from millrace.machine import sudo
from millrace.providers.lab import incus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = paths.repo_root()
# Asked before there is a node that could answer by its own proxy: the vendor's archive.
OUTSIDE = "timescaledb_vendor_url"


def clone(folder: Path) -> Path:
    """Copy what the Makefile reads while it is parsed."""
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "tools/pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def show(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Let make print the environment of its recipes, with these variables and no locale but theirs."""
    kept = {k: v for k, v in shell.environment().items() if not k.startswith(("LC_", "LANG", "ANSIBLE_"))}
    program = shutil.which("make")
    assert program, "make is needed"
    return subprocess.run(  # noqa: S603 - no shell, fixed words
        [program, "--eval=show: ; @env", "show"],
        cwd=folder,
        env={**kept, **given},
        capture_output=True,
        text=True,
        check=False,
    )


def shown(folder: Path, **given: str) -> dict[str, str]:
    done = show(folder, **given)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_a_command_of_ssh_reads_no_start_up_file(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (tmp_path / ".bashrc").write_text("echo read\n")
    # As sshd leaves it to the shell that runs a command.
    done = show(folder, HOME=str(tmp_path), SSH_CLIENT="192.0.2.1 50000 22", SHLVL="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "read" not in done.stdout.splitlines()


@pytest.mark.parametrize("name", ["with space", "with:colon"])
def test_a_path_that_would_be_split_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    done = show(clone(tmp_path / name))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "move the clone" in done.stderr


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LC_ALL": "xx_YY.UTF-8"}, "C.UTF-8"),
        ({"LANG": "C.UTF-8", "LC_TIME": "xx_YY.UTF-8"}, "C.UTF-8"),
        ({"LANG": "C.UTF-8"}, None),
    ],
)
def test_recipes_have_a_locale_that_ansible_takes(
    tmp_path: Path, given: dict[str, str], settled: str | None
) -> None:
    assert shown(clone(tmp_path / "clone"), **given).get("LC_ALL") == settled


def test_ansible_is_told_its_settings_in_a_folder_that_all_may_write(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    folder.chmod(0o777)
    settings = shown(folder, ANSIBLE_CONFIG="/another/ansible.cfg")
    assert settings["ANSIBLE_CONFIG"] == str(folder / "ansible.cfg")


def test_the_tools_tell_ansible_its_settings_without_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_CONFIG", "/another/ansible.cfg")
    monkeypatch.setitem(cli.COMMANDS, "probe", ("test_first_run:probe", ""))
    monkeypatch.setitem(sys.modules, "test_first_run", sys.modules[__name__])
    assert cli.main(["probe"]) == 0


def probe(_argv: list[str]) -> int:
    """Stand in for a command that starts Ansible."""
    return int(os.environ["ANSIBLE_CONFIG"] != str(ROOT / "ansible.cfg"))


def test_a_restart_of_nothing_fails() -> None:
    words = [
        "-i",
        "other,",
        "ansible/playbooks/operations/restart.yml",
        "-e",
        "service=kafka",
        "-e",
        "service_group=kafka",
    ]
    done = subprocess.run(  # noqa: S603 - no shell, fixed words
        [sys.executable, "-m", "ansible", "playbook", *words],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_STRATEGY": "linear"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "nothing was restarted" in done.stdout


def asked(tasks: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any YAML
    """Return the settings of every task that asks for a page, however deep in blocks."""
    for task in tasks or ():
        if "ansible.builtin.uri" in task:
            yield task["ansible.builtin.uri"]
        for key in ("tasks", "block", "rescue", "always"):
            yield from asked(task.get(key))


def test_no_page_of_a_node_is_asked_for_through_a_proxy() -> None:
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("ansible/playbooks/**/*.yml")]
    pages = [page for file in files for page in asked(yaml.safe_load(file.read_text(encoding="utf-8")))]
    inside = [page for page in pages if OUTSIDE not in page["url"]]
    assert len(inside) > 5
    assert [page["url"] for page in inside if page.get("use_proxy") is not False] == []
    # A node may need its proxy for what is outside.
    assert all("use_proxy" not in page for page in pages if page not in inside)


def test_no_program_of_ours_asks_a_node_through_a_proxy() -> None:
    programs = [
        path for path in (*ROOT.glob("roles/*/files/*"), *ROOT.glob("roles/*/templates/*")) if path.is_file()
    ]
    programs += ROOT.glob("ansible/plugins/*/*.py")
    texts = {path: path.read_text(encoding="utf-8") for path in programs}
    assert [path for path, text in texts.items() if "urlopen(" in text] == []
    assert sum("ProxyHandler({})" in text for text in texts.values()) > 2
    calls = [
        line
        for folder in ("tools/src", "tests/platform", "tests/sensors", "tests/support", "tests/testinfra")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bcurl\b.*(-sf|-sS)", line)
    ]
    assert len(calls) > 3
    assert [line for line in calls if "--noproxy" not in line] == []


def test_sudo_keeps_the_proxy_that_apt_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in sudo.PROXIES:
        monkeypatch.delenv(name, raising=False)
    assert incus.root_command("id") == ["sudo", "-n", "--preserve-env=INCUS_DIR", "id"]
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert incus.root_command("id")[2] == "--preserve-env=INCUS_DIR,https_proxy,NO_PROXY"
