"""Terraform's providers where their registry can't be reached: built with Go, into a mirror of files.

Which version a root wants stands in its versions.tf, and what that is built from in `source` beside it
(go.mod and go.sum). Standard library only.
"""

from __future__ import annotations

import platform
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.artifacts.golang import GoRecipe
from millrace.artifacts.model import ArtifactError, key_of
from millrace.artifacts.store import obtain
from millrace.console import MillraceError, say
from millrace.paths import cache_dir, repo_root

if TYPE_CHECKING:
    from pathlib import Path

ROOTS = repo_root() / "terraform" / "providers"
# What Terraform and OpenTofu say where they get no answer; it names the registry's host.
_UNREACHABLE = re.compile(r"could\s+not\s+connect\s+to\s+([a-z0-9.-]+[a-z0-9])")
_REQUIRED = re.compile(
    r'required_providers\s*\{\s*\w+\s*=\s*\{\s*source\s*=\s*"([\w-]+/[\w-]+)"\s*version\s*=\s*"([0-9.]+)"'
)
_MODULE = re.compile(r"^require\s+(\S+)\s+v(\S+)$", re.MULTILINE)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Pinned:
    """A provider that a root requires: NAMESPACE/NAME, its version, and the locks that it is built from."""

    source: str
    version: str
    locks: Path

    @property
    def name(self) -> str:
        """The name of its program, without the version."""
        return f"terraform-provider-{self.source.partition('/')[2]}"

    @property
    def module(self) -> str:
        """The Go module. Raises MillraceError where it is pinned to another version than the root's."""
        found = _MODULE.search((self.locks / "go.mod").read_text(encoding="utf-8"))
        if found is None or found[2] != self.version:
            pinned = found[2] if found else "nothing"
            message = f"{self.locks}/go.mod pins {pinned}, but versions.tf {self.source} {self.version}"
            raise MillraceError(message)
        return found[1]


def required(root: Path) -> Pinned | None:
    """Return the provider that a root requires; None for one that needs nothing but Terraform."""
    found = _REQUIRED.search((root / "versions.tf").read_text(encoding="utf-8"))
    return None if found is None else Pinned(found[1], found[2], root / "source")


def unreachable(said: str) -> str | None:
    """Return the host of the registry that `terraform init` could not reach; None for another failure."""
    found = _UNREACHABLE.search(said)
    return found[1] if found else None


def recipe(pinned: Pinned) -> GoRecipe:
    """Return how to build a provider. Raises MillraceError: see `Pinned.module`."""
    return GoRecipe(pinned.name, pinned.module, pinned.locks)


def mirror(pinned: Pinned) -> Path:
    """Return the directory that holds what this very recipe gave, in the layout that Terraform documents."""
    return cache_dir() / "terraform" / f"{pinned.name}-{key_of(recipe(pinned))}"


def built(pinned: Pinned) -> bool:
    """Tell whether the mirror has the program in the version that is pinned; another one is of no use."""
    program = f"{pinned.name}_v{pinned.version}"
    return any(mirror(pinned).glob(f"*/{pinned.source}/{pinned.version}/*/{program}"))


def build(pinned: Pinned, host: str) -> Path:
    """Put the provider into its mirror, building it unless the cache has it; return the program's path."""
    try:
        made = obtain(recipe(pinned), cache_dir() / "artifacts")
    except ArtifactError as error:
        message = f"{host} can't be reached, and {pinned.source} {pinned.version} can't be built: {error}"
        raise MillraceError(message) from error
    system = f"{platform.system().lower()}_{_MACHINES.get(platform.machine(), platform.machine())}"
    folder = mirror(pinned) / host / pinned.source / pinned.version / system
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(made.path) as archive:
        archive.extract(pinned.name, folder, filter="data")
    # In one step, since another Terraform may be reading it.
    return (folder / pinned.name).rename(folder / f"{pinned.name}_v{pinned.version}")


def configuration(root: Path) -> str:
    """Return Terraform's CLI configuration for a root: its provider from the mirror, if it was built."""
    text = "disable_checkpoint = true\n"
    pinned = required(root)
    if pinned is None or not built(pinned):
        return text
    return text + (
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        f'    path    = "{mirror(pinned)}"\n'
        f'    include = ["{pinned.source}"]\n'
        "  }\n"
        "  direct {\n"
        f'    exclude = ["{pinned.source}"]\n'
        "  }\n"
        "}\n"
    )


def obtain_for(root: Path, said: str) -> bool:
    """Build what a failed `terraform init`, which said `said`, lacks; tell whether it may work now."""
    pinned, host = required(root), unreachable(said)
    if pinned is None or host is None:
        return False
    say(f"{host} can't be reached: building {pinned.source} {pinned.version} with Go (minutes, once)")
    build(pinned, host)
    return True
