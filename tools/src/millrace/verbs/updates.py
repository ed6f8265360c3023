"""Which upgrades are due on the nodes, by the package lists that they have. Only `collect` talks to nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Debian signs the lists of security anew at least each day; nodes read them each day.
_OLD = timedelta(days=3)
# No list is fetched. As root, so that what apt computes from the lists stays for the next time.
_ASK = """
due=$(sudo -n apt-get --quiet=2 --simulate dist-upgrade) || exit 1
printf '%s\\n' "$due"
apt-config dump Unattended-Upgrade::Package-Blacklist
grep -hs '^Date: ' /var/lib/apt/lists/*-security_InRelease
if [ -e /run/reboot-required ]; then echo reboot; fi
"""


@dataclass(frozen=True, slots=True)
class Updates:
    """What is due on a node, by lists of packages that were made at `known` (None: it has none of security).

    `security` and `by_hand` (those that are never upgraded unattended) are among the packages that are `due`.
    """

    due: frozenset[str]
    security: frozenset[str]
    by_hand: frozenset[str]
    known: datetime | None
    reboot: bool


def parse(answer: str) -> Updates:
    """Parse what a node answers."""
    lines = answer.splitlines()
    upgrades = {line.split()[1]: "Debian-Security:" in line for line in lines if line.startswith("Inst ")}
    beginnings = re.findall(r'^Unattended-Upgrade::Package-Blacklist:: "(.*)";$', answer, re.MULTILINE)
    dates = [parsedate_to_datetime(line[6:]).astimezone(UTC) for line in lines if line.startswith("Date: ")]
    return Updates(
        due=frozenset(upgrades),
        security=frozenset(name for name, security in upgrades.items() if security),
        by_hand=frozenset(name for name in upgrades if any(re.match(one, name) for one in beginnings)),
        known=min(dates, default=None),
        reboot="reboot" in lines,
    )


def collect(nodes: Iterable[str]) -> dict[str, Updates | None]:
    """Ask each node; None stands for one that did not answer, or whose apt fails."""
    answers = remote.run_each({node: ["sh", "-c", _ASK] for node in nodes})
    return {node: None if answer is None else parse(answer) for node, answer in answers.items()}


def render(found: Mapping[str, Updates | None], now: datetime) -> list[str]:
    """Return the lines of the page; `now` tells how old the lists are."""
    answered = {node: one for node, one in found.items() if one is not None}
    # Without lists nothing is due, whatever Debian has.
    known = {node: one for node, one in answered.items() if one.known is not None}
    lines = ["updates", *_due(known)]
    dates = {node: one.known for node, one in known.items() if one.known is not None}
    if dates:
        lines.append(_line("by lists of", f"{min(dates.values()):%Y-%m-%d %H:%M} UTC{_old(dates, now)}"))
    reboot = [node for node, one in answered.items() if one.reboot]
    for label, nodes in (
        ("reboot wanted by", reboot),
        ("no lists on", [node for node in answered if node not in known]),
        ("no answer from", [node for node in found if node not in answered]),
    ):
        if nodes:
            lines.append(_line(label, ", ".join(nodes)))
    return lines


def _line(label: str, value: str) -> str:
    return f"  {label:<20}{value}"


def _due(known: Mapping[str, Updates]) -> list[str]:
    """Return how many packages are due on which nodes, and which of them wait for an operator."""
    if not known:
        return [_line("due", "not known")]
    due: dict[tuple[int, int], list[str]] = {}
    by_hand: dict[str, list[str]] = {}
    for node, one in known.items():
        due.setdefault((len(one.due), len(one.security)), []).append(node)
        for package in one.by_hand:
            by_hand.setdefault(package, []).append(node)
    lines = [
        _line("due", f"{_packages(packages)}, {security} for security, on {_places(nodes, known)}")
        for (packages, security), nodes in sorted(due.items(), reverse=True)
        if packages
    ] or [_line("due", "nothing")]
    lines += [
        _line("by hand", f"{package} on {_places(nodes, known)}")
        for package, nodes in sorted(by_hand.items())
    ]
    return lines


def _packages(number: int) -> str:
    return "1 package" if number == 1 else f"{number} packages"


def _places(nodes: Sequence[str], known: Mapping[str, Updates]) -> str:
    return f"all {len(nodes)} nodes" if len(nodes) == len(known) > 1 else ", ".join(nodes)


def _old(dates: Mapping[str, datetime], now: datetime) -> str:
    old = [node for node, date in dates.items() if now - date > _OLD]
    return _in_brackets(f"old, so more may be due: {', '.join(old)}" if old else "")


def _in_brackets(text: str) -> str:
    return f"  ({text})" if text else ""
