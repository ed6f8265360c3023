"""What the machine is: distribution, apt sources, routes, ports, memory. Pure parsers but for the readers."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# Signs Debian's archives where a source names no key of its own.
DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def has_systemd() -> bool:
    """Tell whether PID 1 is systemd (the same test as sd_booted)."""
    return Path("/run/systemd/system").is_dir()


@dataclass(frozen=True)
class OsRelease:
    """Distribution id ("debian", "ubuntu", …), version ("12") and code name ("bookworm")."""

    id: str
    version: str
    codename: str
    pretty: str


@dataclass(frozen=True)
class AptSource:
    """One URI of an apt source with the suites and components that it serves."""

    types: tuple[str, ...]
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None


@dataclass(frozen=True)
class Listener:
    """A socket that waits at a port (``protocol`` is tcp or udp); ``inode`` is its name among open files."""

    protocol: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    inode: int


def parse_os_release(text: str) -> OsRelease:
    """Parse the text of /etc/os-release."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if separator and not key.startswith("#"):
            values[key] = "".join(shlex.split(value))
    return OsRelease(
        id=values.get("ID", "unknown"),
        version=values.get("VERSION_ID", ""),
        codename=values.get("VERSION_CODENAME", ""),
        pretty=values.get("PRETTY_NAME", "an unknown distribution"),
    )


def parse_one_line_sources(text: str) -> list[AptSource]:
    """Parse a sources.list: ``deb [option=value …] URI SUITE COMPONENT…`` a line."""
    sources = []
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        options: dict[str, str] = {}
        if "[" in line:
            before, _, rest = line.partition("[")
            inside, _, after = rest.partition("]")
            options = dict(word.partition("=")[::2] for word in inside.split())
            line = before + after
        words = line.split()
        if len(words) >= 3 and words[0] in {"deb", "deb-src"}:  # noqa: PLR2004 - type, URI and suite
            sources.append(
                AptSource((words[0],), words[1], (words[2],), tuple(words[3:]), options.get("signed-by"))
            )
    return sources


def parse_deb822_sources(text: str) -> list[AptSource]:
    """Parse a .sources file: stanzas of ``Field: value``, with comment and continuation lines."""
    sources: list[AptSource] = []
    fields: dict[str, str] = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if line[:1] in {" ", "\t"}:
            fields[last] = f"{fields.get(last, '')}\n{line.strip()}"
        elif line.strip():
            key, _, value = line.partition(":")
            last = key.strip().lower()
            fields[last] = value.strip()
        else:
            if "uris" in fields and fields.get("enabled", "yes") != "no":
                sources += [
                    AptSource(
                        types=tuple(fields.get("types", "deb").split()),
                        uri=uri,
                        suites=tuple(fields.get("suites", "").split()),
                        components=tuple(fields.get("components", "").split()),
                        signed_by=fields.get("signed-by"),
                    )
                    for uri in fields["uris"].split()
                ]
            fields = {}
    return sources


def archive(sources: list[AptSource], codename: str) -> AptSource | None:
    """Return the first source that serves a release's main archive."""
    for source in sources:
        if "deb" in source.types and codename in source.suites and "main" in source.components:
            return source
    return None


def debian_mirror(sources: list[AptSource]) -> str | None:
    """Return the URI of the Debian archive that this machine uses, whatever its release."""
    for codename in ("trixie", "bookworm", "stable", "forky", "sid"):
        source = archive(sources, codename)
        if source:
            return source.uri
    return None


def security_archive(sources: list[AptSource]) -> str | None:
    """Return the URI of Debian's security archive that this machine uses, whatever its release."""
    for codename in ("trixie", "bookworm", "stable", "forky"):
        source = archive(sources, f"{codename}-security")
        if source:
            return source.uri
    return None


def parse_routes(text: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """Parse /proc/net/route into (interface, network) pairs, without the default route."""
    routes = []
    for line in text.splitlines()[1:]:
        words = line.split()
        destination, mask = (socket.inet_ntoa(struct.pack("<L", int(words[column], 16))) for column in (1, 7))
        if mask != "0.0.0.0":  # noqa: S104 - a netmask, nothing is bound
            routes.append((words[0], ipaddress.IPv4Network(f"{destination}/{mask}", strict=False)))
    return routes


def parse_uplink(text: str) -> str:
    """Return the interface of /proc/net/route that leads outside, "" where none does."""
    rows = [line.split() for line in text.splitlines()[1:]]
    default = [(int(row[6]), row[0]) for row in rows if row[1] == row[7] == "00000000"]
    return min(default)[1] if default else ""


def overlaps(cidr: str, bridge: str, routes: list[tuple[str, ipaddress.IPv4Network]]) -> list[str]:
    """Return the interfaces, other than our bridge, that already lead to addresses of ``cidr``."""
    wanted = ipaddress.IPv4Network(cidr)
    return sorted({name for name, network in routes if name != bridge and network.overlaps(wanted)})


def parse_listeners(protocol: str, text: str) -> list[Listener]:
    """Parse /proc/net/tcp or udp, or their like for IPv6: the sockets that wait, not the connected ones."""
    waiting = {"tcp": "0A", "udp": "07"}[protocol]
    listeners = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if words[3] != waiting:
            continue
        host, _, port = words[1].partition(":")
        # An address is one word of 32 bits, or four.
        packed = b"".join(struct.pack("<L", int(host[at : at + 8], 16)) for at in range(0, len(host), 8))
        address = ipaddress.ip_address(packed)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        listeners.append(Listener(protocol, address, int(port, 16), int(words[9])))
    return listeners


def in_the_way(listeners: list[Listener], address: str, ports: Collection[tuple[str, int]]) -> list[Listener]:
    """Return those at one of the ports (protocol and number) of an address, or of all of the machine's."""
    own = ipaddress.ip_address(address)
    return [
        one
        for one in listeners
        if (one.protocol, one.port) in ports and (one.address.is_unspecified or one.address == own)
    ]


def parse_open_sockets(text: str) -> dict[int, int]:
    """Parse lines such as ``/proc/812/fd/5 socket:[4711]`` into {inode: process}, the first that holds it."""
    found: dict[int, int] = {}
    for process, inode in re.findall(r"^/proc/(\d+)/fd/\d+ socket:\[(\d+)\]$", text, re.MULTILINE):
        found.setdefault(int(inode), int(process))
    return found


def parse_memory(text: str) -> int:
    """Return MemTotal of /proc/meminfo in MiB."""
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    msg = "no MemTotal in /proc/meminfo"
    raise ValueError(msg)


def program(name: str) -> str | None:
    """Return the path of a program, also of one for root only; None where it isn't there."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def read_os_release() -> OsRelease:
    """Return what this machine runs."""
    path = Path("/etc/os-release")
    return parse_os_release(path.read_text(encoding="utf-8") if path.exists() else "")


def read_apt_sources(root: Path = Path("/etc/apt")) -> list[AptSource]:
    """Return all apt sources of this machine, both forms."""
    sources: list[AptSource] = []
    for path in [root / "sources.list", *sorted((root / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            sources += parse_one_line_sources(path.read_text(encoding="utf-8"))
    for path in sorted((root / "sources.list.d").glob("*.sources")):
        sources += parse_deb822_sources(path.read_text(encoding="utf-8"))
    return sources
