"""One virtual machine of plain QEMU: a process of ours, its disk a file, SSH at a port of the loopback."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import terminal
from stock_image import USER

from millrace import system
from millrace.console import say
from millrace.providers.libvirt import virsh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY = 6144  # MiB
PROCESSORS = 2
# program -> its Debian package
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "virt-host-validate": "libvirt-clients",
}
BOOT_WITHIN = 1800  # seconds, on a busy machine without KVM
LOOK_EVERY = 10


def lacking() -> list[str]:
    """Return the Debian packages that this machine lacks for it."""
    return [package for program, package in NEEDED.items() if system.program(program) is None]


def words(folder: Path, port: int, *, kvm: bool) -> list[str]:
    """Return QEMU's command line for the files in a folder."""
    # Without hardware, five levels of page tables cost more than they are good for.
    virtual = (
        ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"]
    )
    return [
        "qemu-system-x86_64",
        *virtual,
        *("-smp", str(PROCESSORS), "-m", str(MEMORY), "-display", "none", "-no-user-config"),
        *("-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img")),
        *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0"),
        *("-drive", f"file={folder / 'root.img'},if=virtio,format=raw,cache=unsafe,discard=unmap"),
        *("-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=net0", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{folder / 'console.log'}"),
    ]


def free_port() -> int:
    """Return a port of the loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Machine:
    """A running machine, its user's password, and the folder of its files (with the SSH key)."""

    folder: Path
    password: str
    port: int
    process: subprocess.Popen[bytes]

    def ssh(self, command: str, *options: str) -> list[str]:
        """Return the command line that runs a command as the machine's user."""
        given = {
            "BatchMode": "yes",
            "ConnectTimeout": "60",
            "LogLevel": "ERROR",
            "ServerAliveCountMax": "20",
            "ServerAliveInterval": "30",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": self.folder / "known_hosts",
        }
        settings = [word for name, value in given.items() for word in ("-o", f"{name}={value}")]
        login = ["-p", str(self.port), "-i", str(self.folder / "key"), *settings, *options]
        return ["ssh", *login, f"{USER}@127.0.0.1", command]

    def quietly(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command without a terminal, and return how it ended."""
        return subprocess.run(  # noqa: S603 - our own argv
            self.ssh(command), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    def at_terminal(self, command: str, within: float) -> terminal.Said:
        """Run a command as at a terminal, where sudo is given the password when it asks."""
        say(f"$ {command}")
        return terminal.run(self.ssh(command, "-tt"), self.password, within)

    def send(self, source: Path, target: str) -> None:
        """Copy a file to a path in the user's home."""
        with source.open("rb") as content:
            subprocess.run(  # noqa: S603 - our own argv
                self.ssh(f"cat > {shlex.quote(target)}"), stdin=content, check=True
            )

    def console(self, lines: int = 40) -> str:
        """Return the last lines of the serial console."""
        path = self.folder / "console.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait(self, what: str, condition: Callable[[], bool], within: float = BOOT_WITHIN) -> None:
        """Poll until a condition holds. Raises AssertionError with the console's end where it does not."""
        say(f"waiting until {what}")
        end = time.monotonic() + within
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                state = "ended" if self.process.poll() is not None else f"had {within:.0f} s"
                message = f"not seen: {what}; the machine {state}. Its console:\n{self.console()}"
                raise AssertionError(message)
            time.sleep(LOOK_EVERY)

    def boot_id(self) -> str:
        """Return what is another one after each boot; empty while nobody answers."""
        return self.quietly("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def stop(self) -> None:
        """End the machine as a power cut does."""
        self.process.kill()
        self.process.wait()


def start(folder: Path, password: str) -> Machine:
    """Start the machine whose files are in a folder."""
    port, kvm = free_port(), virsh.kvm()
    say(f"QEMU with {'KVM' if kvm else 'TCG: no hardware virtualisation here'}, SSH at 127.0.0.1:{port}")
    # It ends with this process, however that ends.
    command = ["setpriv", "--pdeathsig", "KILL", *words(folder, port, kvm=kvm)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own argv
    return Machine(folder, password, port, process)
