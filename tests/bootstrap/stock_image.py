"""A stock Debian as a user finds it: its own kernel, AppArmor, and a user who gives sudo a password."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import mirrors

from millrace.console import run
from millrace.paths import cache_dir
from millrace.providers import debian_image, terraform
from millrace.providers.libvirt import image

if TYPE_CHECKING:
    from collections.abc import Iterable

USER = "ada"  # `operator` is a group of every Debian
SIZE = "30G"
# What the installer gives without a desktop; not what the bootstrap is to install.
PACKAGES = (
    "apparmor",
    "ca-certificates",
    "dbus",
    "libpam-systemd",
    "linux-image-amd64",
    "openssh-server",
    "python3",
    "sudo",
    "systemd-sysv",
    "systemd-timesyncd",
)
INTERFACES = "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n"


def _text(path: str, text: str, folder: Path) -> list[str]:
    """Return the hooks that give a file of the new root this text."""
    source = folder / path.replace("/", "_")
    source.write_text(text, encoding="utf-8")
    return [f"upload {shlex.quote(str(source))} {path}"]


def _uploaded(source: Path, path: str) -> list[str]:
    parent = path.rpartition("/")[0]
    return [f'mkdir -p "$1{parent}"', f"upload {shlex.quote(str(source))} {path}"]


def _user(password: str, public_key: str, folder: Path) -> Iterable[str]:
    hashed = run(["openssl", "passwd", "-6", "-stdin"], stdin=password).strip()
    words = [
        "useradd",
        "--create-home",
        "--shell",
        "/bin/bash",
        "--groups",
        "sudo",
        "--password",
        hashed,
        USER,
    ]
    yield f'chroot "$1" {shlex.join(words)}'
    yield f'mkdir "$1/home/{USER}/.ssh"'
    yield from _text(f"/home/{USER}/.ssh/authorized_keys", public_key, folder)


def _settings(folder: Path) -> Iterable[str]:
    """Give the hooks for the mirrors of this machine."""
    acquire = mirrors.apt_settings(run(["apt-config", "dump"]))
    yield from _text("/etc/apt/apt.conf.d/90mirror", acquire, folder)
    yield from _text("/etc/environment", mirrors.of_this_machine(), folder)
    for path in mirrors.certificates():
        yield from _uploaded(path, f"{mirrors.CERTIFICATES}/{path.name}")
    yield 'chroot "$1" update-ca-certificates'
    for path, target in mirrors.client_files(Path.home(), USER):
        yield from _uploaded(path, target)


def _brought_along() -> Iterable[str]:
    """Give the hooks for what this machine has fetched already, and for Terraform, which Debian has not."""
    binary = Path(str(shutil.which(terraform.required()))).resolve()
    yield f"copy-in {shlex.quote(str(binary))} /usr/local/bin"
    artifacts = cache_dir() / "artifacts"
    if artifacts.exists():
        cache = f"/home/{USER}/.cache/millrace"
        yield f'mkdir -p "$1{cache}"'
        yield f"copy-in {shlex.quote(str(artifacts))} {cache}"


def build(release: str, folder: Path, password: str, public_key: str) -> None:
    """Make root.img, vmlinuz and initrd.img in a folder. Raises MillraceError."""
    work = folder / "work"
    work.mkdir()
    hooks = [
        *_text("/etc/hostname", "stock\n", work),
        *_text("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 stock\n", work),
        *_text("/etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n", work),
        *_text("/etc/network/interfaces", INTERFACES, work),
        *_user(password, public_key, work),
        *_settings(work),
        *_brought_along(),
        f'chroot "$1" chown -R {USER}:{USER} /home/{USER}',
        f'chmod 0700 "$1/home/{USER}/.ssh"',
        ': > "$1/etc/machine-id"',
    ]
    tree = folder / "tree"
    debian_image.mmdebstrap(tree, PACKAGES, hooks, "--format=directory", release=release)
    shutil.rmtree(work)
    image.pack(tree, folder, SIZE)
