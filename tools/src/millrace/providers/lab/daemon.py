"""The Incus daemon with our bridge and storage pool: start, set up, take down. Standard library only."""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from millrace import system
from millrace.console import CommandError, MillraceError, run, say
from millrace.machine.bridge import Bridge as MachineBridge
from millrace.paths import state_root
from millrace.providers.lab import incus

if TYPE_CHECKING:
    from collections.abc import Iterable

READY_WITHIN = 60  # seconds
UNIT = "incus.service"
NAMES = ("/usr/libexec/incus/incusd", "/usr/lib/incus/incusd", "/opt/incus/bin/incusd")


class Bridge(MachineBridge):
    """The lab's network as the topology says it, and as Incus shall have it."""

    @property
    def config(self) -> dict[str, str]:
        """Incus' settings: NAT, no IPv6, and a range for throw-away containers apart from the nodes'."""
        network = ipaddress.IPv4Network(self.cidr)
        config = {
            "ipv4.address": f"{self.gateway}/{network.prefixlen}",
            "ipv4.nat": "true",
            "ipv6.address": "none",
        }
        if network.num_addresses >= 256:  # noqa: PLR2004 - room for both only in a /24 or more
            config["ipv4.dhcp.ranges"] = f"{network[100]}-{network[250]}"
        return config


def binary() -> str | None:
    """Return the path of incusd, which distributions keep outside PATH."""
    return next((name for name in NAMES if Path(name).exists()), None) or shutil.which("incusd")


def _record() -> Path:
    return state_root() / "daemon.json"


def identity() -> dict[str, int]:
    """Return the daemon's process id and start time (ticks after boot), which together name it for good."""
    pid = int(incus.query("/1.0")["environment"]["server_pid"])
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return {"pid": pid, "start": int(fields[19])}


def boot_id() -> str:
    """Return what names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _recorded() -> dict[str, Any]:
    """Return what `start` recorded, nothing where it did not."""
    return dict(json.loads(_record().read_text(encoding="utf-8"))) if _record().exists() else {}


def _installed(record: dict[str, Any]) -> bool:
    return "unit" in record and record["boot"] is None


def _claim(*, installed: bool) -> dict[str, Any]:
    """Return the record that makes the daemon ours.

    Under systemd the package's unit starts the daemon at each boot, with another process each time. If the
    bootstrap installed the package, the unit is ours for good. If it was there, the daemon that we started is
    ours until the next boot. Without systemd nothing starts it at boot: ours is the one process of this boot.
    """
    if system.has_systemd():
        return {"unit": UNIT, "boot": None if installed else boot_id()}
    return {**identity(), "boot": boot_id()}


def start(*, installed: bool = False) -> None:
    """Start the daemon, through systemd where that is PID 1, and record that it is ours to stop.

    ``installed`` says that the bootstrap has just installed its package.
    """
    log = state_root() / "incusd.log"
    state_root().mkdir(parents=True, exist_ok=True, mode=0o700)
    if system.has_systemd():
        run(incus.root_command("systemctl", "start", "incus.socket", UNIT))
    else:
        program = binary()
        if program is None:
            msg = "the package incus is installed, but its daemon incusd is in none of: " + ", ".join(NAMES)
            raise MillraceError(msg)
        with log.open("ab") as output:
            # It leaves for a session of its own by itself: sudo knows its ticket by the terminal of this one.
            done = subprocess.run(  # noqa: S603 - a path found above
                incus.root_command("setsid", "--fork", program, "--group", "incus-admin"),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        if done.returncode != 0:
            msg = f"the Incus daemon could not be started (status {done.returncode}); see {log}"
            raise MillraceError(msg)
    end = time.monotonic() + READY_WITHIN
    while not incus.running():
        if time.monotonic() > end:
            where = "journalctl -u incus" if system.has_systemd() else str(log)
            msg = f"the Incus daemon did not answer within {READY_WITHIN} s; see {where}"
            raise MillraceError(msg)
        time.sleep(0.5)
    claim = _claim(installed=installed or _installed(_recorded()))
    _record().write_text(json.dumps(claim) + "\n", encoding="utf-8")


def is_ours() -> bool:
    """Tell whether the bootstrap started the daemon that runs now, or installed the unit that did."""
    record = _recorded()
    if "unit" in record:
        return record["boot"] in {None, boot_id()}
    # Records of earlier versions have no boot.
    return bool(record) and record == {key: {**identity(), "boot": boot_id()}[key] for key in record}


def network(name: str) -> dict[str, str] | None:
    """Return the settings of one of Incus' own networks, None where it has none of that name."""
    if f"/1.0/networks/{name}" not in incus.query("/1.0/networks"):
        return None
    found = incus.query(f"/1.0/networks/{name}")
    return dict(found["config"]) if found["managed"] else None


def others(name: str, project: str) -> list[str]:
    """Return the nodes of other environments on a network of Incus', each as PROJECT/NODE, sorted."""
    return other_nodes(incus.query(f"/1.0/networks/{name}")["used_by"], project)


def other_nodes(used_by: Iterable[str], project: str) -> list[str]:
    """Return the nodes of other environments, from addresses of Incus' API that use a network."""
    found = set()
    for address in used_by:
        parts = urlsplit(address)
        (owner,) = parse_qs(parts.query).get("project", ["default"])
        if parts.path.startswith("/1.0/instances/") and owner.startswith(incus.PROJECTS) and owner != project:
            found.add(f"{owner}/{parts.path.rpartition('/')[2]}")
    return sorted(found)


def missing_settings(found: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Return the settings of ``wanted`` that a network doesn't have yet."""
    return {key: value for key, value in wanted.items() if found.get(key) != value}


def has_pool() -> bool:
    """Tell whether our storage pool exists."""
    return f"/1.0/storage-pools/{incus.POOL}" in incus.query("/1.0/storage-pools")


def default_profile_is_empty() -> bool:
    """Tell whether containers without devices of their own would have neither disk nor network."""
    return not incus.query("/1.0/profiles/default")["devices"]


def set_up(bridge: Bridge) -> None:
    """Make the bridge, the pool and, where it is empty, the default profile's devices."""
    found = network(bridge.name)
    if found is None:
        words = [f"{key}={value}" for key, value in bridge.config.items()]
        incus.incus("network", "create", bridge.name, "--type=bridge", *words)
    else:
        for key, value in missing_settings(found, bridge.config).items():
            incus.incus("network", "set", bridge.name, f"{key}={value}")
    if not has_pool():
        incus.incus("storage", "create", incus.POOL, "dir")
    if default_profile_is_empty():
        device = ("profile", "device", "add", "default")
        incus.incus(*device, "root", "disk", "path=/", f"pool={incus.POOL}")
        incus.incus(*device, "eth0", "nic", "name=eth0", f"network={bridge.name}")


def take_down(bridge: Bridge) -> None:
    """Remove the bridge and the pool unless something else uses them, and stop the daemon if it is ours."""
    gone = {
        key: name
        for key, kind, name in (("network", "networks", bridge.name), ("pool", "storage-pools", incus.POOL))
        if not _others_use(kind, name)
    }
    for name, device in incus.query("/1.0/profiles/default")["devices"].items():
        # What stays for another environment stays in the profile: without a disk it could make no container.
        if any(device.get(key) == value for key, value in gone.items()):
            incus.incus("profile", "device", "remove", "default", name)
    if network(bridge.name) is not None:
        _remove("network", bridge.name)
    if has_pool():
        _remove("storage", incus.POOL)
    if not is_ours():
        say("the Incus daemon was not started by the bootstrap and keeps running")
    elif incus.query("/1.0/instances?all-projects=true"):
        say("other containers run on the Incus daemon, so it keeps running")
    else:
        stop()


def _others_use(kind: str, name: str) -> bool:
    """Tell whether anything but the default profile uses a network or pool; false where there is none."""
    if f"/1.0/{kind}/{name}" not in incus.query(f"/1.0/{kind}"):
        return False
    return any(user != "/1.0/profiles/default" for user in incus.query(f"/1.0/{kind}/{name}")["used_by"])


def _remove(kind: str, name: str) -> None:
    try:
        incus.incus(kind, "delete", name)
    except CommandError as error:
        if "in use" not in error.output.lower():
            raise
        say(f"something else uses the {kind} {name}, so it stays: {error.output}")


def stop() -> None:
    """Stop the daemon and its socket."""
    if system.has_systemd():
        run(incus.root_command("systemctl", "stop", "incus.socket", UNIT))
    else:
        incus.incus("admin", "shutdown", "--timeout", "120")
        pid = _recorded()["pid"]
        end = time.monotonic() + READY_WITHIN
        while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
            if time.monotonic() > end:
                msg = f"the Incus daemon (process {pid}) did not end within {READY_WITHIN} s"
                raise MillraceError(msg)
            time.sleep(0.2)
    # That the bootstrap installed it stays true: at the next boot the unit starts again.
    if not _installed(_recorded()):
        _record().unlink()
