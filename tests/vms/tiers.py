"""What a tier must be able to do on a virtual machine, and what it must still have after a hard reset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import stream

from millrace import paths
from millrace.access import remote, sql
from millrace.model import secrets
from millrace.model.current import current_environment

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).with_name("on_node_kafka.py").read_text(encoding="utf-8")
ADMIN_PYTHON = "/opt/kafka/admin/venv/bin/python"


class Tier(Protocol):
    """One kind of data."""

    def use(self) -> str:
        """Do what the tier is for; return what is to be said of it."""

    def acknowledged_until(self, strike: Callable[[], None]) -> set[int]:
        """Store numbers until the strike; return those that were acknowledged."""

    def present(self) -> set[int]:
        """Return the numbers that are there."""


class TimescaleDB:
    """Rows of a table of the first database."""

    def __init__(self, node: str) -> None:
        """Take the node of the database."""
        self._node = node
        applications = current_environment().applications.values()
        self._database = next(name for one in applications for name in one.databases)

    def use(self) -> str:
        """Make a hypertable, and query it."""
        sql.execute(
            self._node,
            "CREATE TABLE IF NOT EXISTS vm_test (at timestamptz NOT NULL DEFAULT now(), number int);"
            "SELECT create_hypertable('vm_test', 'at', if_not_exists => true);"
            "INSERT INTO vm_test (number) VALUES (0);",
            database=self._database,
        )
        query = (
            "SELECT count(*) AS rows, (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"
            " AS version FROM vm_test"
        )
        (row,) = sql.query(self._node, query, database=self._database)
        if row["rows"] < 1:
            raise AssertionError(row)
        return f"{row['rows']} rows in a hypertable of TimescaleDB {row['version']}"

    def acknowledged_until(self, strike: Callable[[], None]) -> set[int]:
        """Insert numbers, each in a transaction of its own."""
        numbers = stream.acknowledged_until(
            self._node,
            [*sql.PSQL, self._database, "-qtA"],
            "",
            "INSERT INTO vm_test (number) VALUES ({}) RETURNING number;\n".format,
            strike,
        )
        return set(numbers)

    def present(self) -> set[int]:
        """Read the table."""
        rows = sql.query(self._node, "SELECT number FROM vm_test", database=self._database)
        return {int(row["number"]) for row in rows}


class Kafka:
    """Messages of the first topic."""

    def __init__(self, node: str) -> None:
        """Take the node of the broker."""
        self._node = node
        environment = current_environment()
        topic = next(topic.name for one in environment.applications.values() for topic in one.topics)
        vault = secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())
        port = environment.catalogue.services["kafka"].ports["client"].first
        self._given = {
            "topic": topic,
            "client": {
                "bootstrap_servers": [f"{node}:{port}"],
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "tests",
                "sasl_plain_password": vault["kafka_tests"],
                "ssl_cafile": "/etc/millrace/pki/ca.crt",
                "request_timeout_ms": 300000,
                "bootstrap_timeout_ms": 600000,
            },
        }

    def use(self) -> str:
        """Produce a message, and consume it."""
        self._run("produce", "0\n")
        found = self.present()
        if 0 not in found:
            message = f"{self._given['topic']}: consumed {len(found)} messages, and not the one that was sent"
            raise AssertionError(message)
        return f"produced and consumed a message of {self._given['topic']}"

    def acknowledged_until(self, strike: Callable[[], None]) -> set[int]:
        """Produce numbers, each waited for."""
        numbers = stream.acknowledged_until(
            self._node,
            [ADMIN_PYTHON, "-c", SCRIPT],
            json.dumps({**self._given, "do": "produce"}) + "\n",
            "{}\n".format,
            strike,
        )
        return set(numbers)

    def present(self) -> set[int]:
        """Read the topic from the beginning to its end."""
        return {int(number) for number in self._run("consume", "").split()}

    def _run(self, what: str, lines: str) -> str:
        head = json.dumps({**self._given, "do": what}) + "\n"
        return remote.run(self._node, [ADMIN_PYTHON, "-c", SCRIPT], stdin=head + lines)


TIERS: dict[str, Callable[[str], Tier]] = {"timescaledb": TimescaleDB, "kafka": Kafka}
