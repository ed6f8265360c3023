"""What the images of all providers share: Debian's suites and packages, and which image is up to date.

An image's name says what it holds: `KIND-RECIPE-VERSIONS`. The recipe is ours; the versions are those of all
packages that an image made now would get. apt is asked for them, in a directory of its own.
Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millrace.console import CommandError, MillraceError, run, say, stream
from millrace.machine import sudo
from millrace.paths import cache_dir
from millrace.system import DEBIAN_KEYRING, debian_mirror, read_apt_sources, read_os_release, security_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

SUITE = "trixie"
# The one list of what every node has, whatever makes it.
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
    "unattended-upgrades",
    "zstd",
)
SSHD = "PasswordAuthentication no\\nKbdInteractiveAuthentication no\\nPermitRootLogin no\\n"
# Images of a kind that are kept: clones of other commits use older ones.
KEPT = 3
# The lists stay in the image, so that a new node knows at once what is due; compressed they take 20 MB.
_OPTIONS = ('Acquire::GzipIndexes "true"', 'Acquire::Languages "none"')
# Read after this machine's own settings, of which those of proxies are needed; hooks are for its own lists.
_SETTINGS = """\
Dir::State::Lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Etc::SourceList "{home}/sources.list";
Dir::Etc::SourceParts "{home}/none";
Dir::Etc::Preferences "{home}/none/preferences";
Dir::Etc::PreferencesParts "{home}/none";
#clear APT::Architectures;
APT::Architectures {{ "{architecture}"; }};
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
"""


def recipe_hash(**recipe: object) -> str:
    """Return 12 hexadecimal digits that change whenever the recipe would be another one."""
    whole = {**recipe, "suite": SUITE, "options": _OPTIONS, "machine": platform.machine()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


def mirror() -> str | None:
    """Return this machine's own Debian mirror for the image; None (on Ubuntu) leaves it to mmdebstrap."""
    if read_os_release().id != "debian":
        return None
    return debian_mirror(read_apt_sources())


def sources(release: str = SUITE) -> list[str]:
    """Return the apt sources of an image, one a line: this machine's own. None leaves them to mmdebstrap.

    What it takes by itself has the security suite, too.
    """
    archive = mirror()
    if archive is None:
        return []
    lines = [(archive, release), (archive, f"{release}-updates")]
    security = security_archive(read_apt_sources())
    if security is None:
        say("this machine has no apt source of Debian's security suite, so the image gets none either")
    else:
        lines.append((security, f"{release}-security"))
    return [f"deb [signed-by={DEBIAN_KEYRING}] {uri} {suite} main" for uri, suite in lines]


def mmdebstrap(
    target: Path, packages: Sequence[str], hooks: Sequence[str], *options: str, release: str = SUITE
) -> None:
    """Make a root file system at `target`. Raises MillraceError when that fails, and leaves what there is."""
    words = ["mmdebstrap", "--mode=root", "--variant=important", f"--include={','.join(packages)}", "--quiet"]
    words += [f"--keyring={DEBIAN_KEYRING}", "--skip=cleanup/apt/lists", *options]
    words += [f"--aptopt={option}" for option in _OPTIONS]
    words += [f"--customize-hook={hook}" for hook in hooks]
    status = stream(sudo.root_command(*words, release, str(target), *sources(release)))
    if status != 0:
        message = (
            f"the image could not be made (mmdebstrap: status {status}, its messages are above).\n"
            f"It comes from {mirror() or 'the default Debian mirror'}: is it in reach (apt-get update)?"
        )
        raise MillraceError(message)


def parse_versions(simulated: str) -> list[str]:
    """Return "package version" of all that `apt-get --simulate` says it would install, sorted."""
    return sorted(
        " ".join(found) for found in re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", simulated, re.MULTILINE)
    )


def versions(packages: Sequence[str]) -> str:
    """Return 8 hexadecimal digits for the versions that an image made now would hold.

    Where this machine has no Debian source, nobody can be asked; they are then those of the week. Raises
    CommandError where the mirror does not answer.
    """
    lines = sources()
    found = parse_versions(_ask_apt(lines, packages)) if lines else [datetime.now(UTC).strftime("%G-W%V")]
    return hashlib.sha256("\n".join([*lines, *found]).encode()).hexdigest()[:8]


def _ask_apt(lines: Sequence[str], packages: Sequence[str]) -> str:
    """Return what apt says that it would install, by fresh lists of the sources in `lines`."""
    home = cache_dir() / "images" / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "none"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        architecture = run(["dpkg", "--print-architecture"]).strip()
        settings = home / "apt.conf"
        settings.write_text(_SETTINGS.format(home=home, architecture=architecture), encoding="utf-8")
        (home / "sources.list").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (home / "status").touch()
        apt = ["apt-get", f"--config-file={settings}", "--quiet=2"]
        run([*apt, "update"])
        # What --variant=important means to mmdebstrap.
        base = ["?priority(required)", "?priority(important)"]
        return run([*apt, "--no-install-recommends", "--simulate", "install", *base, *packages])


def current(stem: str, packages: Sequence[str], cached: Iterable[str]) -> str:
    """Return the name of the image to use: `stem` and the versions that it would have if it were made now.

    Where the mirror does not answer, it is the first of `cached` (usable ones of this stem, newest first).
    Raises MillraceError where there is none.
    """
    try:
        return f"{stem}-{versions(packages)}"
    except CommandError as error:
        usable = next(iter(cached), None)
        if usable is None:
            message = f"the mirror does not answer, and there is no image {stem} from before:\n{error}"
            raise MillraceError(message) from error
        say(f"the mirror does not answer: {usable} is used, and whether it lacks updates is not known")
        return usable


def newest_first(folder: Path, pattern: str) -> list[Path]:
    """Return the paths in a folder that match, the last one made first."""
    return sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)


def superfluous(names: Sequence[str], used: str) -> list[str]:
    """Return those of the names (newest first) that need not be kept."""
    return [name for name in names if name != used][KEPT - 1 :]


def prune(names: Sequence[str], used: str, remove: Callable[[str], object]) -> None:
    """Remove images beyond those that are kept; `names` are all of a kind, newest first."""
    for name in superfluous(names, used):
        say(f"removing the old image {name}")
        remove(name)
