"""Prepare this machine for an environment: look first, say what would change, ask, then change it.

Standard library only: this runs with the system's Python, before the tool environment exists.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from millrace import system
from millrace.console import CommandError, MillraceError, confirmed, flag, run, say, stream
from millrace.machine import firewall
from millrace.machine.findings import (
    BRIDGE_PORTS,
    DISK_FIRST,
    KERNEL_LIMITS,
    SUBORDINATE_IDS,
    SUPPORTED,
    Facts,
    Wanted,
    incus_package,
    needs_backports,
    places,
    plan,
    problems,
    taken_ports,
    wanted_by,
)
from millrace.model.neighbours import conflicts
from millrace.paths import cache_dir, environment, environments, repo_root, wrong_environment
from millrace.providers import terraform
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.needs import KEYRING

if TYPE_CHECKING:
    from millrace.providers.interface import Needs

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

# Says what an installation means, whatever the package's own messages advise.
NO_INIT = "`incus admin init`, which the package advises, is not needed: the bootstrap sets Incus up itself"


def wanted_packages(needs: Needs, release: system.OsRelease) -> dict[str, str]:
    """Return the packages for a distribution, each with what shows that the machine has it already."""
    packages = {**PACKAGES, **needs.packages}
    if (evidence := packages.pop("incus", None)) is not None:
        packages[incus_package(release)] = evidence
    return packages


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _has(evidence: str) -> bool:
    kind, _, name = evidence.partition(":")
    if kind == "module":
        return importlib.util.find_spec(name) is not None
    if evidence.startswith("/"):
        return Path(evidence).exists()
    return _program(evidence) is not None


def _as_root_exists(path: Path) -> bool:
    try:
        run(incus.root_command("test", "-e", str(path)))
    except (CommandError, FileNotFoundError):
        return False
    return True


def _privileged() -> bool:
    """Tell whether root is at hand; sudo asks for a password where a terminal is there to give it."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    try:
        # Not `sudo -v`: that wants a password as soon as one of the user's rules does, whichever applies.
        run(["sudo", "-n", "true"])
    except CommandError:
        return False
    return True


def _free(path: Path) -> float:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 2**30


def look(wanted: Wanted) -> Facts:
    """Collect the facts; changes nothing."""
    sources = system.read_apt_sources()
    release = system.read_os_release()
    privileged = _privileged()
    packages = wanted_packages(wanted.needs, release)
    missing = tuple(name for name in sorted(packages) if not _has(packages[name]))
    runs = incus_package(release) not in missing and privileged and incus.running()
    name = wanted.bridge.name
    home = incus.directory()
    exists = Path(f"/sys/class/net/{name}").exists()
    if runs:
        found = daemon.network(name)
        ours, has_pool = found is not None, daemon.has_pool()
    else:
        # A daemon that isn't running tells nothing, but what it made is on the disk.
        ours = privileged and _as_root_exists(home / "networks" / name)
        found = wanted.bridge.config if ours else None
        has_pool = privileged and _as_root_exists(home / "storage-pools" / incus.POOL)
    routing = Path("/proc/net/route").read_text(encoding="utf-8")
    routes = system.parse_routes(routing)
    return Facts(
        os=release,
        privileged=privileged,
        missing=missing,
        memory=system.parse_memory(Path("/proc/meminfo").read_text(encoding="utf-8")),
        disk=min(_free(home), _free(cache_dir())),
        lab_exists=has_pool,
        terraform=terraform.find(),
        backports=system.archive(sources, "bookworm"),
        has_backports=system.archive(sources, "bookworm-backports") is not None,
        subid_files=tuple(path for path in ("/etc/subuid", "/etc/subgid") if not _has_root_range(Path(path))),
        low_limits=tuple(name for name, value in KERNEL_LIMITS.items() if _limit(name) < value),
        daemon_runs=runs,
        systemd=daemon.has_systemd(),
        bridge_settings=None if found is None else daemon.missing_settings(found, wanted.bridge.config),
        bridge_taken=exists and not ours,
        overlapping=tuple(system.overlaps(wanted.bridge.cidr, name, routes)),
        # Where the bridge is there already, its own dnsmasq has them.
        ports_taken=() if exists or not privileged else _taken_ports(wanted.bridge.gateway),
        has_pool=has_pool,
        firewall=_firewall(wanted.bridge, system.parse_uplink(routing)) if privileged else (),
    )


def _firewall(bridge: daemon.Bridge, uplink: str) -> tuple[str, ...]:
    """Return what the machine's firewalls keep from the bridge; a tool that isn't there has made no rules."""
    tables = firewall.read(
        _rules("nft", "-j", "list", "ruleset"), [_rules("iptables-save"), _rules("iptables-legacy-save")]
    )
    needed = firewall.packets(bridge.name, bridge.cidr, bridge.gateway, uplink)
    return tuple(firewall.obstacles(firewall.dropped(tables, needed), bridge.name))


def _rules(tool: str, *options: str) -> str:
    program = _program(tool)
    if program is None:
        return ""
    try:
        return run(incus.root_command(program, *options))
    except CommandError as error:
        say(f"the firewall's rules could not be read, so nothing is known of them: {error}")
        return ""


def _taken_ports(gateway: str) -> tuple[str, ...]:
    listeners = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net") / name
        if path.exists():  # those for IPv6 are missing where the kernel has none
            listeners += system.parse_listeners(name[:3], path.read_text(encoding="ascii"))
    found = system.in_the_way(listeners, gateway, BRIDGE_PORTS)
    return taken_ports(found, _holders() if found else {})


def _holders() -> dict[int, tuple[str, int]]:
    """Return name and id of the process that holds each socket, by the socket's inode."""
    # Only root sees what others' processes have open. Processes that end meanwhile are an error to find.
    script = "find /proc/[0-9]*/fd -lname 'socket:*' -printf '%p %l\\n' 2>/dev/null || true"
    holders = {}
    for inode, process in system.parse_open_sockets(run(incus.root_command("sh", "-c", script))).items():
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
            holders[inode] = (name, process)
    return holders


def _limit_path(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _limit(name: str) -> int:
    return int(_limit_path(name).read_text(encoding="ascii"))


def _has_root_range(path: Path) -> bool:
    return path.exists() and bool(
        re.search(r"^(root|0):\d+:\d{5,}$", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def _write_as_root(path: str, text: str, *, append: bool = False) -> None:
    run(incus.root_command("tee", *(["-a"] if append else []), path), stdin=text)


def backports_source(archive: system.AptSource) -> str:
    """Return the deb822 source for bookworm-backports on the same mirror."""
    lines = ["Types: deb", f"URIs: {archive.uri}", "Suites: bookworm-backports", "Components: main"]
    lines.append(f"Signed-By: {archive.signed_by or KEYRING}")
    return "\n".join(lines) + "\n"


def install(facts: Facts, packages: tuple[str, ...]) -> None:
    """Install packages without what they merely recommend (for Incus that would be a desktop's worth)."""
    name = incus_package(facts.os)
    if needs_backports(facts) and not facts.has_backports and facts.backports and name in packages:
        _write_as_root(
            "/etc/apt/sources.list.d/millrace-backports.sources", backports_source(facts.backports)
        )
    apt = incus.root_command(
        "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"
    )
    if stream([*apt, "update"]) != 0:
        say("apt-get update reported errors; trying to install from the lists that could be read")
    late = (name,) if needs_backports(facts) else ()
    for target, names in (
        ((), tuple(p for p in packages if p not in late)),
        (("-t", "bookworm-backports"), late),
    ):
        if names and stream([*apt, "install", "-y", "--no-install-recommends", *target, *names]) != 0:
            msg = f"apt-get could not install {' '.join(names)}; its messages are above"
            raise MillraceError(msg)
    if name in packages:
        say(NO_INIT)


def change(facts: Facts, wanted: Wanted) -> None:
    """Carry out the plan."""
    if facts.missing:
        install(facts, facts.missing)
    for path in facts.subid_files:
        _write_as_root(path, SUBORDINATE_IDS + "\n", append=True)
    if facts.low_limits:
        text = "".join(f"{name} = {value}\n" for name, value in KERNEL_LIMITS.items())
        _write_as_root("/etc/sysctl.d/60-millrace.conf", text)
        for name in facts.low_limits:
            _write_as_root(str(_limit_path(name)), f"{KERNEL_LIMITS[name]}\n")
    # Where systemd is, the package's installation starts the daemon; it is ours to stop all the same.
    if not facts.daemon_runs:
        daemon.start(installed=incus_package(facts.os) in facts.missing)
    daemon.set_up(wanted.bridge)


def _topology(env: str) -> str:
    return (repo_root() / "inventories" / env / "topology.yml").read_text(encoding="utf-8")


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
    wanted = wanted_by(texts.pop(environment()))
    facts = look(wanted)
    obstacles = problems(facts, wanted) + conflicts(wanted.place, places(texts))
    if obstacles:
        raise MillraceError("nothing was changed, because\n  - " + "\n  - ".join(obstacles))
    changes = plan(facts, wanted)
    if changes:
        where = f"{incus.directory()} and {cache_dir()}"
        needs = f"The lab needs up to {DISK_FIRST} GiB of disk in {where}, and {wanted.memory} MiB of memory."
        _agreed(changes, needs)
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
        facts = Facts(release, _privileged(), missing, memory=0, disk=0)
        if (release.id, release.version) not in SUPPORTED or not facts.privileged:
            msg = f"the tool environment needs the Debian packages {' '.join(missing)} or their like"
            raise MillraceError(msg)
        _agreed([f"install packages (and what they depend on): {' '.join(missing)}"], "")
        install(facts, missing)
    return 0


if __name__ == "__main__":
    if wrong := wrong_environment():
        sys.exit(wrong)
    try:
        sys.exit(main())
    except MillraceError as error:
        sys.exit(f"bootstrap: {error}")
