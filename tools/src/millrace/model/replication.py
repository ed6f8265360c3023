"""How many copies there are of what Kafka and HDFS keep: defaults by the topology, and what cannot work.

Pure functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from millrace.model.applications import Application
    from millrace.model.topology import Topology

BROKERS = "kafka"
DATANODES = "hdfs_datanodes"
WORKERS = "spark_workers"
FACTOR = "kafka_replication_factor"
# Both spellings: Ansible variables and the programs' own settings.
_FACTOR_KEY = re.compile(r"(^|[._])replication[._]factor$")
_IN_SYNC_KEY = re.compile(r"(^|[._])min[._](insync[._]replicas|isr)$")
_HDFS_KEY = re.compile(r"^(hdfs_replication|dfs\.replication)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that a variable sets: `place` is the file (or what else sets it), `key` its path there."""

    place: str
    key: str
    value: int

    def __str__(self) -> str:
        """Return `place: key`."""
        return f"{self.place}: {self.key}"


def kafka_factor(brokers: int) -> int:
    """Return how many copies of a topic there are where nobody says it."""
    return min(3, brokers)


def kafka_in_sync(factor: int) -> int:
    """Return how many copies must have a message before it counts: one less, so that a broker may be down."""
    return max(1, factor - 1)


def hdfs_factor(datanodes: int) -> int:
    """Return how many copies of a block there are where nobody says it."""
    return min(2, datanodes)


def defaults(topology: Topology) -> dict[str, int]:
    """Return the variables that follow from the number of nodes, for the groups that have any.

    Not `kafka_min_insync_replicas`: it follows the factor, whoever sets that (`kafka_in_sync`).
    """
    brokers, datanodes, workers = (len(topology.members(group)) for group in (BROKERS, DATANODES, WORKERS))
    found = {}
    if brokers:
        found[FACTOR] = kafka_factor(brokers)
    if datanodes:
        found["hdfs_replication"] = hdfs_factor(datanodes)
    if workers:
        found["spark_expected_workers"] = workers
    return found


def settings_in(files: Iterable[tuple[Path, object]]) -> dict[str, Setting]:
    """Find copies and in-sync copies in files of variables and their content, by the key's path.

    The last file wins. Templates are left out; a number in quotes is one all the same.
    """
    found: dict[str, Setting] = {}
    for path, content in files:
        found |= {key: Setting(str(path), key, value) for key, value in _numbers(content, "", "")}
    return found


def topic_settings(applications: Iterable[Application]) -> dict[str, Setting]:
    """Find what applications say of their topics' copies, by the key's path with the topic's name in it."""
    return {
        key: Setting(f"services/{application.name}/application.yml", key, value)
        for application in applications
        for topic in application.topics
        for key, value in _numbers(topic.plain(), f"kafka.topics.{topic.name}", "")
    }


def _numbers(value: object, where: str, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _numbers(item, f"{where}.{name}" if where else str(name), str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{where}[{index}]", "")
    elif any(pattern.search(key) for pattern in (_FACTOR_KEY, _IN_SYNC_KEY, _HDFS_KEY)) and _is_number(value):
        yield where, int(str(value))


def _is_number(value: object) -> bool:
    """Tell whether it is a whole number, perhaps in quotes; to Python, true is one too."""
    return type(value) is int or (isinstance(value, str) and re.fullmatch(r"-?\d+", value) is not None)


def problems(topology: Topology, settings: Mapping[str, Setting]) -> list[str]:
    """Return what a deploy would refuse, each with the place and the key that set it.

    More copies than brokers or DataNodes, and more in-sync copies than there are copies. Settings that are
    not given follow the topology.
    """
    brokers = len(topology.members(BROKERS))
    follows = Setting(f"default for {brokers} brokers", FACTOR, kafka_factor(brokers))
    effective = {FACTOR: follows, **settings}
    found = []
    for key, setting in settings.items():
        if _HDFS_KEY.search(_last(key)):
            found += _too_many(setting, len(topology.members(DATANODES)), "DataNodes")
        elif _FACTOR_KEY.search(key):
            found += _too_many(setting, brokers, "brokers")
        elif setting.value < 1:
            found.append(f"{setting}: {setting.value} is no number of copies; use 1 or more")
        elif brokers:
            copies = _copies(key, effective)
            if setting.value > copies.value:
                found.append(
                    f"{setting}: {setting.value} is more than the {copies.value} copies that"
                    f" {copies.key} says ({copies.place}); use at most {copies.value}"
                )
    return found


def _last(key: str) -> str:
    """Return the last key of a path; Hadoop's keys have dots of their own."""
    return "dfs.replication" if key.endswith(".dfs.replication") else key.rpartition(".")[2]


def _too_many(setting: Setting, nodes: int, kind: str) -> list[str]:
    if not nodes or 1 <= setting.value <= nodes:
        return []
    if setting.value < 1:
        return [f"{setting}: {setting.value} is no number of copies; use 1 to {nodes}"]
    return [
        f"{setting}: {setting.value} is more than the {nodes} {kind} in the topology; use at most {nodes}"
    ]


def _copies(key: str, settings: Mapping[str, Setting]) -> Setting:
    """Return the number of copies that in-sync copies at `key` are a part of.

    That beside it (`transaction.state.log.min.isr` has its own), of the topic around it, or the cluster's.
    """
    beside = (_IN_SYNC_KEY.sub(rf"\g<1>{name}", key) for name in ("replication_factor", "replication.factor"))
    around = re.sub(r"\.config\.min[._]insync[._]replicas$", ".replication_factor", key)
    for candidate in (*beside, around):
        if candidate in settings and candidate != key:
            return settings[candidate]
    return settings[FACTOR]
