"""Which nodes tests must keep away from, told before anything is done. Standard library only."""

from __future__ import annotations

import re
import sys

from millrace.paths import environment, repo_root, wrong_environment

# `disposable: true` in any of YAML's spellings.
_DISPOSABLE = re.compile(r"\bdisposable[\"']?\s*:\s*(true|yes|on)\b", re.IGNORECASE)
_NAME = r"[\"']?([\w.-]+)[\"']?"


def lasting_nodes(topology: str) -> list[str]:
    """Return the nodes that are not disposable, from a topology's text.

    By its indentation and braces; a node written by an alias (`*other`) is left out. The tools validate the
    file properly afterwards.
    """
    text = re.sub(r"(^|\s)#.*", "", topology)
    section = re.search(r"^nodes:(.*?)(?=^[^\s}]|\Z)", text, re.MULTILINE | re.DOTALL)
    nodes = _nodes(section[1]) if section else {}
    return [name for name, said in nodes.items() if "*" not in said and not _DISPOSABLE.search(said)]


def _nodes(section: str) -> dict[str, str]:
    """Return what is said of each node, by name: of a mapping in braces, or of one by indentation."""
    if section.lstrip().startswith("{"):
        return dict(re.findall(rf"{_NAME}\s*:\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}", section))
    found = re.search(r"^( +)\S", section, re.MULTILINE)
    if not found:
        return {}
    _, *parts = re.split(rf"^{found[1]}{_NAME}\s*:", section, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def refusal(env: str, lasting: list[str]) -> str:
    """Return the line that keeps tests away from an environment because of these nodes; else nothing."""
    if not lasting:
        return ""
    return (
        f"tests kill nodes and delete data, and in inventories/{env}/topology.yml these are not"
        f" `disposable: true`: {', '.join(lasting)}"
    )


def refused() -> str:
    """Return why tests must keep away from the chosen environment, as far as its text shows; else nothing."""
    env = environment()
    topology = repo_root() / "inventories" / env / "topology.yml"
    return refusal(env, lasting_nodes(topology.read_text(encoding="utf-8", errors="replace")))


if __name__ == "__main__":
    # Called by `make chaos` and `make bench`, whose name is given.
    if wrong := wrong_environment():
        sys.stderr.write(f"{wrong}\n")
        sys.exit(2)
    if why := refused():
        sys.exit(f"make {sys.argv[1]}: {why}")
