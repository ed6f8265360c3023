"""`make test-bootstrap`: a stock Debian becomes the operator's machine, and is switched off and on.

RELEASE names the release. The machine is a virtual one, and nothing of it stays. Exit status 1
where a step fails.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import stock_image
import stock_machine
import two_nodes
import yaml
from stock_machine import Machine

from millrace.console import CommandError, MillraceError, Phases, run, say
from millrace.machine import sudo
from millrace.model.current import choose
from millrace.paths import cache_dir, repo_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASES = ("bookworm", "trixie")
CLONE = "millrace"
LONG = 5400  # seconds for a step, on a busy machine without KVM
# What the machine must be, or the test is about another one; each prints nothing where it is so.
STOCK = {
    "PID 1 is systemd": 'test "$(cat /proc/1/comm)" = systemd',
    "AppArmor is on": "grep -q Y /sys/module/apparmor/parameters/enabled",
    "sudo wants a password": "! sudo -n true 2>/dev/null",
    "there is no git, no make and no Incus": "! command -v git make incus",
}
STORED = "CREATE TABLE kept (number int); INSERT INTO kept VALUES (4711);"
READ = "SELECT 'number ' || number FROM kept;"


def step(machine: Machine, command: str, within: float = LONG) -> str:
    """Run a command at the machine's terminal; return what it printed. AssertionError where it fails."""
    said = machine.at_terminal(command, within)
    say(f"(status {said.status}; sudo asked for its password {said.asked} times)")
    if said.status != 0:
        message = f"`{command}` ended with status {said.status}"
        raise AssertionError(message)
    return said.output


def make(machine: Machine, target: str, before: str = "") -> str:
    """Call a target of the Makefile there."""
    return step(machine, f"cd {CLONE} && {before}make {target} ENV={two_nodes.NAME} YES=1")


def check_stock(machine: Machine, release: str) -> None:
    """Look whether the machine is what the test is about."""
    said = machine.quietly(
        "cat /etc/debian_version; uname -rv; . /etc/os-release; echo $VERSION_CODENAME"
    ).stdout
    say(said.strip())
    if said.split()[-1:] != [release]:
        message = f"{release} was wanted"
        raise AssertionError(message)
    for what, command in STOCK.items():
        if machine.quietly(command).returncode != 0:
            message = f"not so: {what}"
            raise AssertionError(message)
        say(f"so it is: {what}")


def bring(machine: Machine) -> None:
    """Clone the commit at hand there, and add the environment."""
    bundle = machine.folder / "millrace.bundle"
    run(["git", "bundle", "create", "--quiet", str(bundle), "HEAD"], cwd=repo_root())
    machine.send(bundle, "millrace.bundle")
    topology = machine.folder / "topology.yml"
    topology.write_text(yaml.safe_dump(two_nodes.topology(), sort_keys=False), encoding="utf-8")
    folder = f"{CLONE}/inventories/{two_nodes.NAME}"
    step(machine, f"git clone --quiet millrace.bundle {CLONE} && mkdir {folder}")
    machine.send(topology, f"{folder}/topology.yml")


def answers(machine: Machine, node: str) -> bool:
    """Tell whether a node answers, asked from its operator's machine."""
    config = f".local/state/millrace/{two_nodes.NAME}/ssh_config"
    return machine.quietly(f"ssh -F {config} {node} true").returncode == 0


def reboot(machine: Machine) -> None:
    """Restart the machine, and wait until both nodes run, without being told to."""
    before = machine.boot_id()
    machine.at_terminal("sudo systemctl reboot", LONG)  # its status is that of a connection which is cut
    machine.wait("the machine has started again", lambda: machine.boot_id() not in {"", before})
    for node in two_nodes.topology()["nodes"]:
        machine.wait(f"{node} answers", partial(answers, machine, node))


def play(machine: Machine, release: str, phases: Phases) -> None:
    """Do what an operator does on the first day."""
    with phases.phase("first boot"):
        machine.wait("the machine answers", lambda: machine.boot_id() != "")
        check_stock(machine, release)
    with phases.phase("clone"):
        step(machine, "sudo apt-get -qq update && sudo apt-get -qq install -y git make")
        bring(machine)
    with phases.phase("bootstrap"):
        make(machine, "bootstrap")
    with phases.phase("tools"):
        make(machine, "tools")
    with phases.phase("image"):
        step(machine, f"cd {CLONE} && ENV={two_nodes.NAME} .venv/bin/millrace image")
    with phases.phase("up"):
        make(machine, "up")
    with phases.phase("use"):
        make(machine, "psql", f'echo "{STORED}" | ')
    with phases.phase("reboot"):
        reboot(machine)
    with phases.phase("after it"):
        make(machine, "start")
        make(machine, "smoke")
        make(machine, "status")
        if "number 4711" not in make(machine, "psql", f'echo "{READ}" | '):
            message = "the row that was stored before the reboot is not there"
            raise AssertionError(message)


@contextmanager
def folder_of(release: str) -> Iterator[Path]:
    """Give a folder for the machine's files, which is removed in the end; so is one of a killed run."""
    folder = cache_dir() / f"stock-{release}"
    remove = sudo.root_command("rm", "-rf", str(folder))
    run(remove)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        run(remove)


def main() -> int:
    """Play the first day and remove the machine, whatever became of it; return the exit status."""
    release = choose("RELEASE", os.environ.get("RELEASE", ""), RELEASES)
    if lacking := stock_machine.lacking():
        message = f"install the packages {' '.join(lacking)}, or their like"
        raise MillraceError(message)
    phases, password = Phases(), secrets.token_hex(8)
    try:
        with folder_of(release) as folder:
            with phases.phase("stock image"):
                run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")])
                public = (folder / "key.pub").read_text(encoding="ascii")
                stock_image.build(release, folder, password, public)
            machine = stock_machine.start(folder, password)
            try:
                play(machine, release, phases)
            finally:
                machine.stop()
    finally:
        say(phases.summary())
    say(f"{release}: done, and nothing of the machine is left")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, CommandError, MillraceError) as error:
        sys.exit(f"make test-bootstrap: {error}")
