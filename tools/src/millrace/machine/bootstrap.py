"""Prepare this machine for an environment: look first, say what would change, ask, then change it.

Standard library only: this runs with the system's Python, before the tool environment exists.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from millrace import system
from millrace.console import MillraceError, confirmed, flag, say, stream
from millrace.machine import sudo
from millrace.machine.findings import (
    SUPPORTED,
    Facts,
    Wanted,
    demand,
    places,
    plan,
    problems,
    wanted_by,
)
from millrace.model.neighbours import conflicts
from millrace.paths import cache_dir, environment, environments, repo_root, wrong_environment
from millrace.providers import terraform
from millrace.providers.interface import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What every environment needs; its provider adds what it needs (providers/needs.py).
# package -> what shows that the machine has it already, however it was installed: a program or a path
TOOL_PACKAGES = {"python3-venv": "module:ensurepip"}
PACKAGES = {
    **TOOL_PACKAGES,
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "default-jre-headless": "java",
    "git": "git",
    "maven": "mvn",
    "openssh-client": "ssh",
    "rsync": "rsync",
    "zstd": "zstd",
}


def _has(evidence: str) -> bool:
    kind, _, name = evidence.partition(":")
    if kind == "module":
        return importlib.util.find_spec(name) is not None
    if evidence.startswith("/"):
        return Path(evidence).exists()
    return system.program(evidence) is not None


def _free(path: Path) -> float:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 2**30


def look(wanted: Wanted) -> Facts:
    """Collect the facts; changes nothing."""
    sources = system.read_apt_sources()
    release = system.read_os_release()
    privileged = sudo.privileged()
    needs = wanted.preparation.needs(release)
    packages = {**PACKAGES, **needs.packages}
    missing = tuple(name for name in sorted(packages) if not _has(packages[name]))
    found = wanted.preparation.look(Machine(release, privileged, missing))
    return Facts(
        os=release,
        privileged=privileged,
        missing=missing,
        memory=system.parse_memory(Path("/proc/meminfo").read_text(encoding="utf-8")),
        disk=min(_free(path) for path in (needs.directory, cache_dir()) if path is not None),
        terraform=terraform.find(),
        late=tuple(name for name in missing if name in needs.from_backports),
        backports=system.archive(sources, "bookworm"),
        has_backports=system.archive(sources, "bookworm-backports") is not None,
        found=found,
    )


def backports_source(archive: system.AptSource) -> str:
    """Return the deb822 source for bookworm-backports on the same mirror."""
    lines = ["Types: deb", f"URIs: {archive.uri}", "Suites: bookworm-backports", "Components: main"]
    lines.append(f"Signed-By: {archive.signed_by or system.DEBIAN_KEYRING}")
    return "\n".join(lines) + "\n"


def install(facts: Facts, variables: Iterable[str] = ()) -> None:
    """Install what is missing, without what the packages merely recommend (that can be a desktop's worth).

    Of the environment, the `variables` are kept.
    """
    if facts.late and not facts.has_backports and facts.backports:
        sudo.write("/etc/apt/sources.list.d/millrace-backports.sources", backports_source(facts.backports))
    apt = sudo.root_command(
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-qq",
        "-o",
        "DPkg::Lock::Timeout=300",
        kept=variables,
    )
    if stream([*apt, "update"]) != 0:
        say("apt-get update reported errors; trying to install from the lists that could be read")
    for target, names in (
        ((), tuple(name for name in facts.missing if name not in facts.late)),
        (("-t", "bookworm-backports"), facts.late),
    ):
        if names and stream([*apt, "install", "-y", "--no-install-recommends", *target, *names]) != 0:
            msg = f"apt-get could not install {' '.join(names)}; its messages are above"
            raise MillraceError(msg)


def change(facts: Facts, wanted: Wanted) -> None:
    """Carry out the plan."""
    if facts.missing:
        install(facts, wanted.preparation.needs(facts.os).variables)
    facts.found.change()


def _topology(env: str) -> str:
    # Another environment's broken file is no obstacle here.
    path = repo_root() / "inventories" / env / "topology.yml"
    return path.read_text(encoding="utf-8", errors="replace")


def _conflicts(wanted: Wanted, others: Mapping[str, str]) -> list[str]:
    """Return what this environment's network shares with that of others, given their topologies."""
    place = wanted.preparation.place
    return [] if place is None else conflicts(place, places(others))


def _agreed(changes: list[str], needs: str) -> None:
    say("This changes on the machine:")
    for line in changes:
        say(f"  - {line}")
    say(needs)
    if not confirmed("Go on?"):
        msg = "nothing was changed"
        raise MillraceError(msg)


def main(argv: list[str] | None = None) -> int:
    """Prepare the machine, or with --tools only what the tool environment needs."""
    parser = argparse.ArgumentParser(prog="millrace bootstrap", description=main.__doc__)
    parser.add_argument("--tools", action="store_true", help="only what the Python tool environment needs")
    args = parser.parse_args(argv)
    if args.tools:
        return _tools()
    texts = {name: _topology(name) for name in environments()}
    own = texts.pop(environment())
    if "\0" in own or "\N{REPLACEMENT CHARACTER}" in own:
        msg = f"inventories/{environment()}/topology.yml: must be text in UTF-8, without NUL bytes"
        raise MillraceError(msg)
    wanted = wanted_by(own)
    facts = look(wanted)
    obstacles = problems(facts, wanted) + _conflicts(wanted, texts)
    if obstacles:
        raise MillraceError("nothing was changed, because\n  - " + "\n  - ".join(obstacles))
    changes = plan(facts)
    if changes:
        _agreed(changes, demand(facts, wanted))
        change(facts, wanted)
        say("this machine is ready")
    else:
        say("this machine was ready already; nothing changed")
    return 0


def _tools() -> int:
    missing = tuple(package for package, evidence in TOOL_PACKAGES.items() if not _has(evidence))
    if missing:
        # `make -j` keeps back what its parts print: nobody would see the question that waits for an answer.
        if sys.stdin.isatty() and not sys.stdout.isatty() and not flag("YES"):
            msg = f"the tool environment needs the packages {' '.join(missing)}; `make tools` installs them"
            raise MillraceError(msg)
        release = system.read_os_release()
        facts = Facts(release, sudo.privileged(), missing, memory=0, disk=0)
        if (release.id, release.version) not in SUPPORTED or not facts.privileged:
            msg = f"the tool environment needs the Debian packages {' '.join(missing)} or their like"
            raise MillraceError(msg)
        _agreed([f"install packages (and what they depend on): {' '.join(missing)}"], "")
        install(facts)
    return 0


if __name__ == "__main__":
    if wrong := wrong_environment():
        sys.exit(wrong)
    try:
        sys.exit(main())
    except MillraceError as error:
        sys.exit(f"bootstrap: {error}")
