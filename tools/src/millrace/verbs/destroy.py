"""``millrace destroy``: says what goes, asks, and removes an environment."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from millrace.console import MillraceError, confirmed, flag, say
from millrace.model.current import current_environment
from millrace.paths import state_dir, state_root, vault_password_file
from millrace.providers import data_disks
from millrace.providers.registry import provider_of

if TYPE_CHECKING:
    from pathlib import Path

# What is a secret of the environment or opens its nodes stays for the next lab, unless PURGE=1.
REMAKEABLE = ("known_hosts", "ssh_config")


def data_left(state: Path) -> bool:
    """Tell whether Terraform's state knows data disks: they outlive a `destroy` that does not name them."""
    path = state / "terraform" / "terraform.tfstate"
    if not path.exists():
        return False
    resources = json.loads(path.read_text(encoding="utf-8")).get("resources", [])
    return any((one["mode"], one["name"]) == ("managed", "data") and one["instances"] for one in resources)


def forget(state: Path, *, purge: bool) -> None:
    """Remove the files that described the nodes, or with ``purge`` all the environment's state.

    Where data disks are left, Terraform's state stays with them, and the secrets, which open what they hold.
    """
    if data_left(state):
        for name in REMAKEABLE:
            (state / name).unlink(missing_ok=True)
        return
    if purge:
        shutil.rmtree(state, ignore_errors=True)
        if not any(path.is_dir() for path in state_root().glob("*")):
            vault_password_file().unlink(missing_ok=True)
        return
    shutil.rmtree(state / "terraform", ignore_errors=True)
    for name in REMAKEABLE:
        (state / name).unlink(missing_ok=True)


def forgotten(state: Path, *, purge: bool, disks: bool) -> str:
    """Return the line that says which files go; data disks that are left keep what opens them."""
    if disks:
        return (
            f"the SSH client's files in {state}; its secrets and Terraform's state stay with the data disks"
        )
    if purge:
        return f"all of {state}: secrets, SSH key, certificate authority, Terraform's state (PURGE=1)"
    return f"Terraform's state and the SSH client's files in {state}"


def destroy_main(_argv: list[str]) -> int:
    """Remove everything of the environment but the caches, and with PURGE=1 its secrets too."""
    topology = current_environment().topology
    env, purge = topology.environment, flag("PURGE")
    provider, state = provider_of(topology), state_dir(topology.environment)
    say(f"This removes of the environment {env}:")
    losses = provider.losses()
    for line in [*losses, forgotten(state, purge=purge, disks=data_disks.some_left(losses))]:
        say(f"  - {line}")
    if not confirmed("Remove it all?"):
        msg = "nothing was removed"
        raise MillraceError(msg)
    provider.destroy()
    kept = "secrets removed" if purge else f"secrets kept in {state} (PURGE=1 removes them)"
    if data_left(state):
        kept = f"data disks left; with them stay the secrets and Terraform's state in {state}"
    forget(state, purge=purge)
    say(f"{env} is destroyed; image and downloads kept, {kept}")
    return 0
