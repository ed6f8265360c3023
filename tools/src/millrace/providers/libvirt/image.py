"""The image of virtual machines: Debian with cloud-init, and no boot loader. Standard library only.

It is three files: a root file system (ext4, raw), its kernel and its initrd. libvirt gives the machine the
latter two, so no disk needs partitions or a boot loader, and the root grows to its disk at the first boot.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.artifacts.store import record_checksum, verified
from millrace.console import MillraceError, run, say
from millrace.machine import sudo
from millrace.paths import cache_dir
from millrace.providers import debian_image

if TYPE_CHECKING:
    from pathlib import Path

KIND = "millrace-vm"
PACKAGES = (
    *debian_image.PACKAGES,
    "cloud-init",
    "e2fsprogs",
    "linux-image-cloud-amd64",
    "netplan.io",
    "systemd-timesyncd",
)
SIZE = "3G"  # of the root file system before it grows to its disk; most of it is holes
FILES = ("root.img", "vmlinuz", "initrd.img")
# No other data source is asked: each would cost a boot its time-out. Of the programs that could set up the
# network, ifupdown is in every Debian, comes first, and takes no default route from cloud-init (seen).
CLOUD = (
    "datasource_list: [NoCloud, None]\\n"
    "system_info:\\n  network:\\n    renderers: [netplan]\\n    activators: [netplan]\\n"
)
HOOKS = (
    f'printf "{CLOUD}" > "$1/etc/cloud/cloud.cfg.d/90-millrace.cfg"',
    f'printf "{debian_image.SSHD}" > "$1/etc/ssh/sshd_config.d/10-millrace-image.conf"',
    'printf "/dev/vda / ext4 errors=remount-ro 0 1\\n" > "$1/etc/fstab"',
    'chroot "$1" systemctl enable systemd-networkd systemd-resolved systemd-timesyncd ssh',
    'chroot "$1" systemctl mask networking.service',
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
    """Return 12 hexadecimal digits that change whenever the image would be made otherwise."""
    return debian_image.recipe_hash(packages=sorted(PACKAGES), hooks=HOOKS, size=SIZE)


def folder() -> Path:
    """Return where images are kept, a directory each."""
    return cache_dir() / "images"


def _as_root(*words: str) -> str:
    return run(sudo.root_command(*words))


def pack(tree: Path, folder: Path, size: str) -> None:
    """Make the files of an image in a folder, the root file system of this size; the tree is removed."""
    for name in ("vmlinuz", "initrd.img"):
        _as_root("cp", "--dereference", str(tree / name), str(folder / name))
    _as_root("truncate", f"--size={size}", str(folder / "root.img"))
    _as_root("mkfs.ext4", "-q", "-L", "root", "-d", str(tree), str(folder / "root.img"))
    _as_root("rm", "-rf", str(tree))
    _as_root("chmod", "0644", *(str(folder / name) for name in FILES))


def build(target: Path) -> None:
    """Make the files of the image; an interrupted build leaves nothing at `target`."""
    partial = target.with_name(f"partial-{target.name}")
    tree = partial / "tree"
    _as_root("rm", "-rf", str(partial))
    partial.mkdir(parents=True)
    try:
        debian_image.mmdebstrap(tree, PACKAGES, HOOKS, "--format=directory")
    except MillraceError:
        _as_root("rm", "-rf", str(partial))
        raise
    pack(tree, partial, SIZE)
    for name in FILES:
        record_checksum(partial / name)
    partial.rename(target)


def whole(image: Path) -> bool:
    """Tell whether the files of an image are what was made."""
    return all(verified(image / name) is not None for name in FILES)


def _cached(stem: str) -> list[Path]:
    return [path for path in debian_image.newest_first(folder(), f"{stem}-*") if path.is_dir()]


def ensure() -> Image:
    """Make and keep the image where it is missing or not what was made; return its files."""
    stem = f"{KIND}-{recipe_hash()}"
    name = debian_image.current(stem, PACKAGES, (path.name for path in _cached(stem) if whole(path)))
    target = folder() / name
    if target.exists() and not whole(target):
        say(f"the cached image {name} is not what was made: its checksums differ")
        shutil.rmtree(target)
    if not target.exists():
        say(f"making the image {name} from {debian_image.mirror() or 'the default Debian mirror'} (minutes)")
        build(target)
    debian_image.prune([path.name for path in _cached(KIND)], name, lambda old: shutil.rmtree(folder() / old))
    return Image(*(target / part for part in FILES))
