"""What this machine's package clients are set up with, for a machine that shall use the same mirrors."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CERTIFICATES = Path("/usr/local/share/ca-certificates")  # those that this machine's owner has added
# Of the clients of pip, Maven and Go: a path on this machine, and where the user of the other one has it.
_FOR_ALL = ("/etc/pip.conf",)
_OF_USER = (".config/pip/pip.conf", ".pip/pip.conf", ".m2/settings.xml", ".config/go/env")
_VARIABLES = re.compile(
    r"PIP_\w+|GO(PROXY|SUMDB|NOSUMDB|PRIVATE|FLAGS|TOOLCHAIN)|MAVEN_(OPTS|ARGS)"
    r"|(https?|ftp|all|no)_proxy|(HTTPS?|FTP|ALL|NO)_PROXY"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO"
)
# How packages are fetched; what is kept of their lists is the other machine's own business.
_APT = re.compile(r"^Acquire::(?:https?|Check-[\w-]+)(?:::[\w.:-]+)? \"[^\"]+\";$", re.MULTILINE)


def apt_settings(dump: str) -> str:
    """Return the lines of `apt-config dump` that say how packages are fetched."""
    return "".join(f"{found[0]}\n" for found in _APT.finditer(dump))


def variables(environ: Mapping[str, str]) -> str:
    """Return the lines of /etc/environment for the clients' variables.

    Those are left out that name a place on this machine; Debian's own certificates are on every one.
    """
    chosen = sorted(
        name
        for name, value in environ.items()
        if _VARIABLES.fullmatch(name) and (not value.startswith("/") or value.startswith("/etc/ssl/certs"))
    )
    return "".join(f'{name}="{environ[name]}"\n' for name in chosen)


def certificates(folder: Path = CERTIFICATES) -> list[Path]:
    """Return the certificates that this machine's owner has added."""
    return sorted(folder.glob("*.crt"))


def client_files(home: Path, user: str) -> Iterable[tuple[Path, str]]:
    """Give each settings file that is here, and where the user of the other machine needs it."""
    for path in map(Path, _FOR_ALL):
        if path.exists():
            yield path, str(path)
    for name in _OF_USER:
        if (home / name).exists():
            yield home / name, f"/home/{user}/{name}"


def of_this_machine() -> str:
    """Return the lines of /etc/environment for this machine's own variables."""
    return variables(os.environ)
