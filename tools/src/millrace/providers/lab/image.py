"""The base image of all nodes: a recipe, its hash, and how it is made. Standard library only.

What every node needs is in the image already, so that a deploy downloads little; what only some
nodes need is the roles' business.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tarfile
import time
from io import BytesIO
from typing import TYPE_CHECKING

from millrace.artifacts.model import file_sha256
from millrace.artifacts.store import checksum_file, verified
from millrace.console import MillraceError, run, say, stream
from millrace.model.login import USER
from millrace.paths import cache_dir
from millrace.providers.lab import incus
from millrace.system import DEBIAN_KEYRING, debian_mirror, read_apt_sources, read_os_release

if TYPE_CHECKING:
    from pathlib import Path

SUITE = "trixie"
# The one list of what is in the base image.
PACKAGES = (
    "acl",
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "nftables",
    "openjdk-21-jre-headless",
    "openssh-server",
    "openssl",
    "procps",
    "python3",
    "python3-apt",
    "python3-cryptography",
    "python3-psycopg2",
    "python3-venv",
    "rsync",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "tzdata",
    "udev",
    "zstd",
)
NETWORK_FILE = "/etc/systemd/network/80-eth0.network"
# The bridge has IPv4 alone. An IPv6 address of eth0's own may be taken for a duplicate right after a restart,
# and then the boot waits two minutes for it (seen: "dadfailed", and a failed unit).
NETWORK = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
SSHD = "PasswordAuthentication no\\nKbdInteractiveAuthentication no\\nPermitRootLogin no\\n"
# Every container is made from the same image, so host keys may only come into being at its first boot.
HOST_KEYS = (
    "[Unit]\\nDescription=Host keys of the SSH server\\nBefore=ssh.service ssh.socket\\n"
    "ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key\\n"
    "[Service]\\nType=oneshot\\nExecStart=/usr/bin/ssh-keygen -A\\n"
    "[Install]\\nWantedBy=multi-user.target\\n"
)
# Shell lines that mmdebstrap runs with the new root in $1.
HOOKS = (
    f'printf "{NETWORK}" > "$1{NETWORK_FILE}"',
    f'printf "{SSHD}" > "$1/etc/ssh/sshd_config.d/10-millrace-image.conf"',
    f'printf "{HOST_KEYS}" > "$1/etc/systemd/system/millrace-host-keys.service"',
    'chroot "$1" systemctl enable systemd-networkd systemd-resolved ssh millrace-host-keys',
    f'chroot "$1" useradd --create-home --shell /bin/bash --password "*" {USER}',
    f'chroot "$1" install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.ssh',
    f'printf "{USER} ALL=(ALL:ALL) NOPASSWD: ALL\\n" > "$1/etc/sudoers.d/millrace"',
    'chmod 0440 "$1/etc/sudoers.d/millrace"',
    'rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname"',
    ': > "$1/etc/machine-id"',
)


def recipe_hash(packages: tuple[str, ...] = PACKAGES, hooks: tuple[str, ...] = HOOKS) -> str:
    """Return 12 hexadecimal digits that change whenever the image would be another one."""
    recipe = {"suite": SUITE, "packages": sorted(packages), "hooks": hooks, "machine": platform.machine()}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def alias() -> str:
    """Return the name under which the daemon keeps the image."""
    return f"millrace-base-{recipe_hash()}"


def mirror() -> str | None:
    """Return this machine's own Debian mirror for the image; None (on Ubuntu) leaves it to mmdebstrap."""
    if read_os_release().id != "debian":
        return None
    return debian_mirror(read_apt_sources())


def _metadata() -> bytes:
    """Return the metadata archive that Incus wants beside a root file system."""
    text = json.dumps(  # JSON is YAML, and needs no library
        {
            "architecture": platform.machine(),
            "creation_date": int(time.time()),
            "properties": {"description": "Millrace base", "os": "debian", "release": SUITE},
        }
    ).encode()
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("metadata.yaml")
        member.size = len(text)
        archive.addfile(member, BytesIO(text))
    return buffer.getvalue()


def build(target: Path) -> None:
    """Make the root file system with mmdebstrap at ``target``; an interrupted build leaves nothing there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"partial-{target.name}")
    words = ["mmdebstrap", "--mode=root", "--variant=important", f"--include={','.join(PACKAGES)}"]
    words += [f"--keyring={DEBIAN_KEYRING}", "--quiet"]
    words += [f"--customize-hook={hook}" for hook in HOOKS]
    source = mirror()
    status = stream(incus.root_command(*words, SUITE, str(partial), *([source] if source else [])))
    if status != 0:
        run(incus.root_command("rm", "-f", str(partial)))
        msg = (
            f"the base image could not be made (mmdebstrap: status {status}, its messages are above).\n"
            f"It comes from {source or 'the default Debian mirror'}: is it in reach (apt-get update)?"
        )
        raise MillraceError(msg)
    run(incus.root_command("mv", str(partial), str(target)))
    run(incus.root_command("chmod", "0644", str(target)))
    checksum_file(target).write_text(f"{file_sha256(target)}  {target.name}\n", encoding="ascii")


def unusable(image: Path) -> str:
    """Say why a cached image must not be used; nothing where it may be, or where there is none."""
    if not image.exists() or verified(image) is not None:
        return ""
    if not checksum_file(image).exists():
        return f"the cached image {image.name} has no checksum, so nobody can tell whether it is whole"
    return f"the cached image {image.name} is not what was made: its checksum differs"


def ensure() -> str:
    """Make, keep and import the base image where it is missing; return its alias."""
    name = alias()
    if incus.image_exists(name):
        return name
    root = cache_dir() / "images" / f"{name}.tar"
    reason = unusable(root)
    if reason:
        say(reason)
    if reason or not root.exists():
        say(f"making the base image {name} from {mirror() or 'the default Debian mirror'} (about a minute)")
        build(root)
    metadata = root.with_name(f"{name}.metadata.tar")
    metadata.write_bytes(_metadata())
    say(f"importing the base image {name}")
    incus.incus("image", "import", str(metadata), str(root), "--alias", name, "--project", "default")
    return name
