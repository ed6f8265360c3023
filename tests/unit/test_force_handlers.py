"""After a failed play, handlers that were notified are not lost: tried with the settings of ansible.cfg."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from millrace import paths

ROOT = paths.repo_root()
# Host "first" fails, "second" does not: any_errors_fatal ends the play on both. "Broken" fails as a handler.
PLAY = """
- name: A play that fails
  hosts: all
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Change something
      ansible.builtin.debug:
      changed_when: true
      notify: [Broken, Kept]
    - name: Go on, or fail here
      ansible.builtin.FAILING
    - name: Do not come here
      ansible.builtin.debug: {msg: "too far on {{ inventory_hostname }}"}
  handlers:
    - name: Broken
      ansible.builtin.assert: {that: inventory_hostname != broken}
    - name: Kept
      ansible.builtin.debug: {msg: "kept on {{ inventory_hostname }}"}
"""
A_TASK = "assert: {that: inventory_hostname != 'first'}"
A_HANDLER = "meta: flush_handlers"


def output(folder: Path, failing: str, broken: str) -> str:
    """Run the play as a deploy runs, apart from the inventory; return what it prints. It must fail."""
    play = folder / "play.yml"
    play.write_text(PLAY.replace("FAILING", failing), encoding="utf-8")
    password = folder / "password"
    password.write_text("not needed", encoding="utf-8")
    env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(  # noqa: S603 - our own play
        [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "first,second",
            "-e",
            f"broken={broken}",
            play,
        ],
        cwd=ROOT,
        env={
            **env,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(password),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "too far on first" not in done.stdout
    return done.stdout


def test_handlers_run_on_every_host_after_a_task_failed_on_one(tmp_path: Path) -> None:
    said = output(tmp_path, A_TASK, "nobody")
    assert [host for host in ("first", "second") if f"kept on {host}" in said] == ["first", "second"]


def test_the_other_handlers_run_after_a_handler_failed(tmp_path: Path) -> None:
    said = output(tmp_path, A_HANDLER, "second")
    assert [host for host in ("first", "second") if f"kept on {host}" in said] == ["first", "second"]


def test_molecule_runs_roles_the_same_way() -> None:
    config = yaml.safe_load((ROOT / ".config" / "molecule" / "config.yml").read_text(encoding="utf-8"))
    assert config["ansible"]["cfg"]["defaults"]["force_handlers"] is True
