"""Terraform or OpenTofu: finding a sufficient one, and running it for an environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.console import CommandError, MillraceError, run, say
from millrace.paths import repo_root, state_dir
from millrace.providers import mirror

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MINIMUM = (1, 5, 0)
VARIABLES = "variables.tfvars.json"
_LOCKED = "Error acquiring the state lock"
# What Terraform says of a state that the provider at hand cannot read.
_OTHER_SCHEMA = "does not match version"
INSTALL_HINT = (
    "Terraform or OpenTofu >= 1.5 is needed, and Debian and Ubuntu have neither. Install one:\n"
    "  OpenTofu:  https://opentofu.org/docs/intro/install/deb/ (package tofu)\n"
    "  Terraform: https://developer.hashicorp.com/terraform/install (package terraform)\n"
    "or put the binary `terraform` or `tofu` into a directory of PATH."
)


def parse_version(text: str) -> tuple[int, int, int]:
    """Parse what ``terraform version -json`` (or tofu's) prints; (0, 0, 0) when it holds no version."""
    try:
        version = str(json.loads(text)["terraform_version"])
    except (ValueError, KeyError, TypeError):
        return (0, 0, 0)
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)


def find() -> str | None:
    """Return ``terraform`` or ``tofu``, whichever is there in a sufficient version; None otherwise."""
    for name in ("terraform", "tofu"):
        if shutil.which(name) is None:
            continue
        try:
            version = parse_version(run([name, "version", "-json"], env={"CHECKPOINT_DISABLE": "1"}))
        except CommandError:
            continue
        if version >= MINIMUM:
            return name
    return None


def required() -> str:
    """Return what ``find`` finds, or say what to install."""
    binary = find()
    if binary is None:
        raise MillraceError(INSTALL_HINT)
    return binary


@dataclass(frozen=True)
class Terraform:
    """Terraform for one environment: configuration in the clone, everything else in the state directory."""

    binary: str
    config: Path
    home: Path
    refreshes: bool = True
    """Whether plans look at what there is; without it, the caller compares the state with reality."""

    @property
    def env(self) -> dict[str, str]:
        """The variables that keep its files out of the clone and its habits (prompts, update checks) away."""
        return {
            "TF_DATA_DIR": str(self.home / "data"),
            "TF_CLI_CONFIG_FILE": str(self.home / "cli.tfrc"),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
        }

    def call(self, *words: str) -> str:
        """Run a subcommand and return its output. MillraceError where another one is at work."""
        try:
            return run([self.binary, f"-chdir={self.config}", *words], env=self.env)
        except CommandError as error:
            if _LOCKED not in error.output:
                raise
            message = (
                f"another `make up`, provision or destroy of this environment is at work ({self.home} is"
                " locked); wait until it has ended"
            )
            raise MillraceError(message) from error

    def set_variables(self, variables: dict[str, Any]) -> None:
        """Write the values of the environment's variables."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.home / VARIABLES
        path.write_text(json.dumps(variables, indent=2) + "\n", encoding="utf-8")

    def variables(self) -> dict[str, Any]:
        """Return the values that were written last; empty before the first time."""
        path = self.home / VARIABLES
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def change_variables(self, changes: dict[str, Any]) -> None:
        """Write some of the variables anew, as `set_variables` does, and leave the others as they were."""
        self.set_variables({**self.variables(), **changes})

    def init(self) -> None:
        """Prepare the data directory for the modules of this clone, and the root's provider."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._init("-reconfigure", f"-backend-config=path={self.home / 'terraform.tfstate'}")

    def obtain_provider(self) -> None:
        """Fetch the root's provider from its registry, or build it."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._init("-backend=false")

    def _init(self, *words: str) -> None:
        # Versions are pinned in the configuration, and a provider built here has no checksum of a registry's.
        (self.config / ".terraform.lock.hcl").unlink(missing_ok=True)
        try:
            self._init_once(*words)
        except CommandError as error:
            if not mirror.obtain_for(self.config, str(error)):
                raise
            self._init_once(*words)

    def _init_once(self, *words: str) -> None:
        (self.home / "cli.tfrc").write_text(mirror.configuration(self.config), encoding="utf-8")
        self.call("init", "-no-color", *words)

    def nodes(self) -> set[str]:
        """Return the names of the nodes that the state knows."""
        if not (self.home / "terraform.tfstate").exists():
            return set()
        return nodes_in_state(self.call("state", "list"))

    def forget(self, node: str) -> None:
        """Drop a node, which is gone in reality, from the state."""
        self.forget_resources([f'module.node["{node}"]'])

    def forget_resources(self, addresses: Sequence[str]) -> None:
        """Drop what is gone in reality from the state."""
        self.call("state", "rm", *addresses)

    def plan(self) -> dict[str, str] | None:
        """Plan; return {resource: "create", "update", "replace" or "delete"}, None for nothing to do."""
        plan = str(self.home / "plan")
        words = ["plan", "-no-color", "-detailed-exitcode", f"-out={plan}"]
        words += [] if self.refreshes else ["-refresh=false"]
        words += [f"-replace={address}" for address in self._rebuilt()]
        try:
            self.call(*words, f"-var-file={self.home / VARIABLES}")
        except CommandError as error:
            if error.status != 2:  # noqa: PLR2004 - 2 stands for "there are changes"
                raise
            return changes(json.loads(self.call("show", "-json", plan)))
        return None

    def _rebuilt(self) -> list[str]:
        """Return the addresses of what is made anew, since the caller names its nodes: REBUILD=NODE,…."""
        wanted = [name for name in os.environ.get("REBUILD", "").split(",") if name]
        if not wanted:
            return []
        there = self.nodes()
        if unknown := sorted(set(wanted) - there):
            known = ", ".join(sorted(there)) or "none"
            message = f"REBUILD: there is no node {', '.join(unknown)}; there are: {known}"
            raise MillraceError(message)
        return [
            str(resource["address"])
            for resource in self.resources()
            if any(resource["address"].startswith(f'module.node["{name}"].') for name in wanted)
        ]

    def apply(self) -> None:
        """Apply the plan, showing one line for each finished resource and everything where it fails."""
        self._watched(["apply", "-no-color", "-parallelism=4", str(self.home / "plan")])

    def resources(self) -> list[dict[str, Any]]:
        """Return the state's resources, those of modules too, as `terraform show -json` has them."""
        if not (self.home / "terraform.tfstate").exists():
            return []
        try:
            shown = json.loads(self.call("show", "-json"))
        except CommandError as error:
            if _OTHER_SCHEMA not in error.output:
                raise
            pinned = mirror.required(self.config)
            wanted = f"{pinned.source} {pinned.version}" if pinned else "Terraform"
            message = (
                f"{self.home}/terraform.tfstate was written by another version than {wanted}, which is"
                " pinned here; use the clone that wrote it, or terraform.tfstate.backup beside it"
            )
            raise MillraceError(message) from error
        return list(resources_of(shown.get("values", {}).get("root_module", {})))

    def outputs(self) -> dict[str, Any]:
        """Return the values of the state's outputs."""
        return {name: output["value"] for name, output in json.loads(self.call("output", "-json")).items()}

    def destroy(self, *targets: str) -> None:
        """Destroy all that the state knows, or the targets and what depends on them."""
        words = ["destroy", "-no-color", "-auto-approve", "-parallelism=4"]
        words += [] if self.refreshes else ["-refresh=false"]
        words += [f"-target={target}" for target in targets]
        self._watched([*words, f"-var-file={self.home / VARIABLES}"])

    def _watched(self, words: list[str]) -> None:
        command = [self.binary, f"-chdir={self.config}", *words]
        lines = []
        with subprocess.Popen(  # noqa: S603 - no shell, fixed words
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **self.env},
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                done = re.match(
                    r'module\.node\["(.+?)"\]\.\w+\.(\w+)(?:\[.+?\])?: (\w+) complete after (\S+)', line
                )
                if done:
                    say(f"  {done[1]}: {done[2]} {done[3].lower()} complete ({done[4]})")
        if process.returncode != 0:
            raise CommandError(command, process.returncode, "".join(lines[-60:]))


def nodes_in_state(text: str) -> set[str]:
    """Parse the output of ``terraform state list`` into names of nodes."""
    return set(re.findall(r'^module\.node\["(.+?)"\]', text, flags=re.MULTILINE))


def resources_of(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources that a module of `terraform show -json` manages, and those of its modules."""
    for resource in module.get("resources", []):
        if resource["mode"] == "managed":
            yield resource
    for child in module.get("child_modules", []):
        yield from resources_of(child)


def changes(plan: dict[str, Any]) -> dict[str, str]:
    """Reduce a plan in JSON to {resource address: action}, without the resources that stay as they are."""
    found = {}
    for resource in plan.get("resource_changes", []):
        actions = resource["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        found[resource["address"]] = "replace" if len(actions) == 2 else actions[0]  # noqa: PLR2004 - delete + create
    return found


def for_environment(env: str, provider: str, *, refreshes: bool = True) -> Terraform:
    """Return Terraform for an environment, with the root of its provider, or say what to install."""
    root = repo_root() / "terraform" / "providers" / provider
    return Terraform(required(), root, state_dir(env) / "terraform", refreshes)


def main() -> int:
    """Print the name of the one to use, for the Makefile."""
    try:
        sys.stdout.write(f"{required()}\n")
    except MillraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
