"""clouds.yaml: where the cloud's client looks for it, and what stands in the way. Standard library only.

What is in it is for Terraform's provider to read; of all that, only the names of its entries are looked at,
and that needs PyYAML: `entry_problem`.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "OS_CLIENT_CONFIG_FILE"


def places() -> list[Path]:
    """Return where it may be, the first that exists counts.

    Not the current directory, where the client would look too: Terraform runs in another one.
    """
    if given := os.environ.get(VARIABLE, ""):
        return [Path(given)]
    folders = (Path.home() / ".config" / "openstack", Path("/etc/openstack"))
    return [folder / f"clouds.{ending}" for folder in folders for ending in ("yaml", "yml")]


def found() -> Path | None:
    """Return the file; None where there is none."""
    return next((path for path in places() if path.is_file()), None)


def problem() -> str:
    """Return the line that says that there is no such file; else nothing."""
    given = os.environ.get(VARIABLE, "")
    if given and not given.startswith("/"):
        return f"{VARIABLE}={given} must be an absolute path: Terraform runs in another directory"
    if found() is not None:
        return ""
    if given:
        return f"{VARIABLE}={given}: there is no such file; it has the cloud's credentials"
    listed = ", ".join(map(str, places()))
    return (
        f"there is no clouds.yaml, which has the cloud's credentials; looked for {listed} ({VARIABLE} names"
        " another)"
    )


def entry_problem(cloud: str) -> str:
    """Return the line that says that the file lacks the entry `cloud`; else nothing."""
    import yaml  # noqa: PLC0415 - the bootstrap has no PyYAML

    path = found()
    if path is None:
        return problem()
    try:
        # Not this project's own dialect: the client's file may have what ours may not (`<<`).
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        # The parser may quote the file, which holds a password.
        mark = getattr(error, "problem_mark", None)
        return f"{path}: is not valid YAML{f' (line {mark.line + 1})' if mark else ''}"
    clouds = content.get("clouds") if isinstance(content, dict) else None
    names = sorted(map(str, clouds)) if isinstance(clouds, dict) else []
    if cloud in names:
        entry = clouds[cloud] if isinstance(clouds, dict) else None
        if isinstance(entry, dict) and entry:
            return ""
        return f"{path}: the cloud {cloud!r} is empty; it needs `auth`, with auth_url and credentials"
    known = ", ".join(names) or "none"
    return f"{path}: has no cloud {cloud!r} (openstack.cloud of the topology); it has: {known}"
