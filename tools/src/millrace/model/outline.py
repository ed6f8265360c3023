"""What the bootstrap reads of a topology, before PyYAML is there. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS = ("bridge", "cidr", "gateway")


@dataclass(frozen=True, slots=True)
class Outline:
    """A topology in short: `network` has those of bridge, cidr and gateway that are set; memory in MiB."""

    provider: str
    memory: int
    network: Mapping[str, str] = field(default_factory=dict)


def outline(topology: str) -> Outline:
    """Read provider, network and memory from a topology's text.

    With regular expressions; the tools validate the file properly afterwards.
    """
    text = re.sub(r"#.*", "", topology)
    # Up to the next key at the beginning of a line, whether it is a block or {in: braces}.
    section = re.search(r"^network:.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    found = {key: _setting(section[0] if section else "", rf"\b{key}") for key in _KEYS}
    memory = sum(int(number) for number in re.findall(r"\bmemory:\s*(\d+)", text))
    return Outline(
        _setting(text, r"^provider"), memory, {key: value for key, value in found.items() if value}
    )


def _setting(text: str, key: str) -> str:
    match = re.search(rf"{key}:\s*([^\s,}}]+)", text, re.MULTILINE)
    return match[1].strip("\"'") if match else ""
