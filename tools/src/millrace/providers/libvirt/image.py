"""The image of virtual machines: Debian with cloud-init, and no boot loader. Standard library only.

It is three files: a root file system (ext4, raw), its kernel and its initrd. libvirt gives the machine the
latter two, so no disk needs partitions or a boot loader, and the root grows to its disk at the first boot.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.artifacts.model import file_sha256
from millrace.artifacts.store import checksum_file, verified
from millrace.console import MillraceError, run, say, stream
from millrace.machine import sudo
from millrace.paths import cache_dir
from millrace.providers.lab import image as base
from millrace.system import DEBIAN_KEYRING

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    *base.PACKAGES,
    "cloud-init",
    "e2fsprogs",
    "linux-image-cloud-amd64",
    "netplan.io",
    "systemd-timesyncd",
    "unattended-upgrades",
)
SIZE = "3G"  # of the root file system before it grows to its disk; most of it is holes
FILES = ("root.img", "vmlinuz", "initrd.img")
# No other data source is asked: each would cost a boot its time-out.
CLOUD = "datasource_list: [NoCloud, None]\\n"
SSHD = base.SSHD
HOOKS = (
    f'printf "{CLOUD}" > "$1/etc/cloud/cloud.cfg.d/90-millrace.cfg"',
    f'printf "{SSHD}" > "$1/etc/ssh/sshd_config.d/10-millrace-image.conf"',
    'printf "/dev/vda / ext4 errors=remount-ro 0 1\\n" > "$1/etc/fstab"',
    'chroot "$1" systemctl enable systemd-networkd systemd-resolved systemd-timesyncd ssh',
    'rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname"',
    ': > "$1/etc/machine-id"',
)
CMDLINE = {"root": "/dev/vda", "rw": "", "console": "ttyS0"}


@dataclass(frozen=True)
class Image:
    """Paths of a root file system, a kernel and an initrd."""

    root: Path
    kernel: Path
    initrd: Path


def recipe_hash() -> str:
    """Return 12 hexadecimal digits that change whenever the image would be another one."""
    recipe = {
        "suite": base.SUITE,
        "packages": sorted(PACKAGES),
        "hooks": HOOKS,
        "size": SIZE,
        "machine": platform.machine(),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def folder() -> Path:
    """Return where the image's files lie."""
    return cache_dir() / "images" / f"millrace-vm-{recipe_hash()}"


def _as_root(*words: str) -> str:
    return run(sudo.root_command(*words))


def build(target: Path) -> None:
    """Make the files of the image; an interrupted build leaves nothing at `target`."""
    partial = target.with_name(f"partial-{target.name}")
    tree = partial / "tree"
    _as_root("rm", "-rf", str(partial))
    partial.mkdir(parents=True)
    words = ["mmdebstrap", "--mode=root", "--variant=important", f"--include={','.join(PACKAGES)}"]
    words += [f"--keyring={DEBIAN_KEYRING}", "--quiet", "--format=directory"]
    words += [f"--customize-hook={hook}" for hook in HOOKS]
    source = base.mirror()
    status = stream(sudo.root_command(*words, base.SUITE, str(tree), *([source] if source else [])))
    if status != 0:
        _as_root("rm", "-rf", str(partial))
        message = (
            f"the image could not be made (mmdebstrap: status {status}, its messages are above).\n"
            f"It comes from {source or 'the default Debian mirror'}: is it in reach (apt-get update)?"
        )
        raise MillraceError(message)
    for name, link in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd.img")):
        _as_root("cp", "--dereference", str(tree / link), str(partial / name))
    _as_root("truncate", f"--size={SIZE}", str(partial / "root.img"))
    _as_root("mkfs.ext4", "-q", "-L", "root", "-d", str(tree), str(partial / "root.img"))
    _as_root("rm", "-rf", str(tree))
    _as_root("chmod", "0644", *(str(partial / name) for name in FILES))
    for name in FILES:
        path = partial / name
        checksum_file(path).write_text(f"{file_sha256(path)}  {name}\n", encoding="ascii")
    partial.rename(target)


def ensure() -> Image:
    """Make and keep the image where it is missing or not what was made; return its files."""
    target = folder()
    if target.exists() and not all(verified(target / name) for name in FILES):
        say(f"the image {target.name} is not what was made: its checksums differ; making it again")
        shutil.rmtree(target)
    if not target.exists():
        say(f"making the image {target.name} from {base.mirror() or 'the default Debian mirror'} (minutes)")
        build(target)
    return Image(*(target / name for name in FILES))
