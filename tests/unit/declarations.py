"""A declaration that is right, for tests that put one mistake into it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from millrace.model.applications import Application, read_application
from millrace.yamlio import Reader

if TYPE_CHECKING:
    from pathlib import Path

DOORS: dict[str, Any] = {
    "secrets": {"kafka_doors": {"kind": "password", "purpose": "x"}},
    "kafka": {
        "topics": [{"name": "doors.opened", "partitions": 1}],
        "accounts": {"doors": "kafka_doors"},
        "acls": [{"user": "doors", "name": "doors.opened", "operations": ["WRITE"]}],
    },
    "databases": {"doors": {"owner": "doors_owner", "accounts": {"doors_owner": "kafka_doors"}}},
    "hdfs": {"directories": [{"path": "/doors", "owner": "doors", "group": "doors", "mode": "0750"}]},
    "services": {
        "doors": {
            "group": "generators",
            "unit": "doors.service",
            "ports": {"http": {"port": 9500, "protocol": "tcp", "tls": "none", "from": []}},
            "health": {"type": "http", "port": "http", "path": "/healthz"},
            "metrics": None,
            "gateway": None,
            "uses": {
                "kafka": {"account": "doors"},
                "timescaledb": {"database": "doors", "account": "doors_owner"},
            },
            "program": {"project": "doors", "config": {"side": "left"}, "secrets": {"key": "kafka_doors"}},
        }
    },
    "status": {
        "database": "doors",
        "query": "SELECT 1 AS open",
        "figures": [{"column": "open", "label": "open"}],
        "metrics": [{"service": "doors", "metric": "m", "label": "seen"}],
        "flowing": "open",
    },
    "commands": {"count": {"help": "Count.", "service": "doors", "run": ["count"], "options": {"--a": "A"}}},
}


def read(services: Path, data: object) -> tuple[Application, list[str]]:
    """Return the application that `data` declares in services/doors, and what is wrong with it."""
    reader = Reader()
    return read_application(services / "doors", data, reader), reader.problems


def changed(keys: str, value: object) -> dict[str, Any]:
    """Return the declaration with one value changed; a number among the keys is a place in a list."""
    data = copy.deepcopy(DOORS)
    *path, last = keys.split("/")
    place: Any = data
    for key in path:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return data
