"""The base image of all nodes: a recipe, its hash, and how it is made. Standard library only.

What every node needs is in the image already, so that a deploy downloads little; what only some
nodes need is the roles' business.
"""

from __future__ import annotations

import json
import platform
import tarfile
import time
from io import BytesIO
from typing import TYPE_CHECKING

from millrace.artifacts.store import checksum_file, record_checksum, verified
from millrace.console import MillraceError, run, say
from millrace.model.login import USER
from millrace.paths import cache_dir
from millrace.providers import debian_image
from millrace.providers.debian_image import PACKAGES, SSHD, SUITE, mirror, newest_first
from millrace.providers.lab import incus

if TYPE_CHECKING:
    from pathlib import Path

KIND = "millrace-base"
NETWORK_FILE = "/etc/systemd/network/80-eth0.network"
# The bridge has IPv4 alone. An IPv6 address of eth0's own may be taken for a duplicate right after a restart,
# and then the boot waits two minutes for it (seen: "dadfailed", and a failed unit).
NETWORK = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
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
    """Return 12 hexadecimal digits that change whenever the image would be made otherwise."""
    return debian_image.recipe_hash(packages=sorted(packages), hooks=hooks)


def folder() -> Path:
    """Return where images are kept."""
    return cache_dir() / "images"


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
    try:
        debian_image.mmdebstrap(partial, PACKAGES, HOOKS)
    except MillraceError:
        run(incus.root_command("rm", "-f", str(partial)))
        raise
    run(incus.root_command("mv", str(partial), str(target)))
    run(incus.root_command("chmod", "0644", str(target)))
    record_checksum(target)


def unusable(image: Path) -> str:
    """Say why a cached image must not be used; nothing where it may be, or where there is none."""
    if not image.exists() or verified(image) is not None:
        return ""
    if not checksum_file(image).exists():
        return f"the cached image {image.name} has no checksum, so nobody can tell whether it is whole"
    return f"the cached image {image.name} is not what was made: its checksum differs"


def imported() -> list[str]:
    """Return the aliases of the daemon's base images, newest first."""
    images = incus.query("/1.0/images?recursion=1")
    images.sort(key=lambda one: str(one["uploaded_at"]), reverse=True)
    names = [str(alias["name"]) for one in images for alias in one["aliases"]]
    return [name for name in names if name.startswith(f"{KIND}-")]


def _cached(stem: str) -> list[Path]:
    """Return the images in the cache whose names begin so, newest first; not what lies beside them."""
    return [path for path in newest_first(folder(), f"{stem}-*.tar") if "." not in path.stem]


def _forget(name: str) -> None:
    """Remove an image from the cache."""
    root = folder() / f"{name}.tar"
    for path in (root, checksum_file(root), root.with_name(f"{name}.metadata.tar")):
        path.unlink(missing_ok=True)


def _delete(name: str) -> None:
    """Remove an image from the daemon; nodes that were made from it stay as they are."""
    incus.incus("image", "delete", "--project", "default", name)


def ensure() -> str:
    """Make, keep and import the base image where it is missing; return its alias. Old ones are removed."""
    stem = f"{KIND}-{recipe_hash()}"
    usable = (path.stem for path in _cached(stem) if not unusable(path))
    name = debian_image.current(stem, PACKAGES, usable)
    if not incus.image_exists(name):
        _import(name)
    debian_image.prune([path.stem for path in _cached(KIND)], name, _forget)
    debian_image.prune(imported(), name, _delete)
    return name


def _import(name: str) -> None:
    """Hand an image to the daemon; it is made before where the cache has none that is whole."""
    root = folder() / f"{name}.tar"
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
