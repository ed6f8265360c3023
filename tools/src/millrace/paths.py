"""Where Millrace keeps things: the clone, the state of each environment and the caches."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_ENVIRONMENT = "lab"


def environment() -> str:
    """Return the environment which the caller chose with ``ENV``, or the default one."""
    return os.environ.get("ENV") or DEFAULT_ENVIRONMENT


def repo_root() -> Path:
    """Return the root of the clone which this package was installed from (editable)."""
    return Path(__file__).resolve().parents[3]


def environments() -> list[str]:
    """Return the names of all environments that have a topology, sorted."""
    return sorted(path.parent.name for path in (repo_root() / "inventories").glob("*/topology.yml"))


def wrong_environment() -> str:
    """Return a line that lists the environments if the chosen one is none of them, otherwise nothing."""
    known = environments()
    # As of `ENV=$UNSET make destroy`: what was meant, nobody knows.
    if os.environ.get("ENV") == "":
        return f"ENV is empty; leave it out for {DEFAULT_ENVIRONMENT}, or name one of: {', '.join(known)}"
    if environment() in known:
        return ""
    return f"no environment {environment()!r}; ENV is one of: {', '.join(known)}"


def _base(variable: str, fallback: str) -> Path:
    """Return an XDG base directory; relative values are ignored, as the XDG specification says."""
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / fallback
    return base / "millrace"


def state_root() -> Path:
    """Return the directory of all environments' state (also holds the vault password)."""
    return _base("XDG_STATE_HOME", ".local/state")


def state_dir(env: str | None = None) -> Path:
    """Return an environment's state directory (key, vault, PKI, Terraform state); it may not exist yet."""
    return state_root() / (env or environment())


def cache_dir() -> Path:
    """Return the directory of downloads and images; everything in it can be made again."""
    return _base("XDG_CACHE_HOME", ".cache")


def vault_password_file() -> Path:
    """Return the file with the password of all environments' vaults."""
    return state_root() / "vault-password"
