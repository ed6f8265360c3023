"""Runs the naive sinks beside the platform, each on a throw-away database, and kills them with aim."""

from __future__ import annotations

import inspect
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import probe
import stored
from sensors_oracle import reference
from verdict import Found

from millrace import paths
from millrace.access import remote, sql
from millrace.model import secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ORDERS = ("commit first", "insert first")
FOLDER = "/run/millrace-chaos"
MODULES = f"{FOLDER}/sensors_oracle"
# This one has both clients: Kafka's and PostgreSQL's.
PYTHON = "/opt/millrace/sensors-relay/venv/bin/python"
AIM = Path(__file__).with_name("on_node_aim.sh").read_text(encoding="utf-8")
SOURCES = {
    "naive_sink.py": Path(__file__).with_name("naive_sink.py").read_text(encoding="utf-8"),
    "sensors_oracle/reference.py": inspect.getsource(reference),
}
TABLES = """
SET ROLE sensors_owner;
CREATE SCHEMA sensors;
CREATE TABLE sensors.measurements (sensor_id text, type text, event_time timestamptz, value double precision,
    source_partition integer, source_offset bigint);
CREATE TABLE sensors.rejects (source_topic text, source_partition integer, source_offset bigint, reason text);
CREATE TABLE sensors.counts (topic text, partition integer, sensor_id text, stored bigint, duplicates bigint,
    rejected bigint, PRIMARY KEY (topic, partition, sensor_id));
"""


class Twin:
    """A naive sink of one order of commits, for the messages of one prefix from `offsets` on."""

    def __init__(self, order: str, prefix: str, offsets: Mapping[str, int], database: str) -> None:
        """Make it ready to be started."""
        self.order = order
        self._name = order.replace(" ", "-")
        self._unit = f"millrace-naive-{self._name}.service"
        self._database = database
        self._config = {
            "topic": probe.TOPIC,
            "prefix": prefix,
            "group": f"tests-{prefix}-{self._name}",
            "offsets": offsets,
            "order": order,
            "status": f"{FOLDER}/{self._name}.status",
        }

    def start(self) -> None:
        """Start it where it does not run: systemd brings it back when it dies, but not when its node does."""
        vault = secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())
        database = {
            "host": probe.DATABASE,
            "port": probe.ENVIRONMENT.catalogue.services["timescaledb"].ports["sql"].first,
            "dbname": self._database,
            "user": "sensors_owner",
            "password": vault["postgres_sensors_owner"],
            "sslmode": "verify-full",
            "sslrootcert": "/etc/millrace/pki/ca.crt",
            "tcp_user_timeout": 30_000,
        }
        config = {**self._config, "client": probe.kafka_client(), "database": database}
        remote.run(probe.APPS, ["sudo", "install", "-d", "-o", "millrace", "-m", "0700", FOLDER, MODULES])
        for name, text in {**SOURCES, f"{self._name}.json": json.dumps(config)}.items():
            remote.run(probe.APPS, ["sh", "-c", f"umask 077; cat >{FOLDER}/{name}"], stdin=text)
        options = ["--quiet", "--collect", f"--unit={self._unit}", "--uid=millrace"]
        options += [
            f"--property={setting}"
            for setting in ("Restart=always", "RestartSec=1", "StartLimitIntervalSec=0")
        ]
        command = [PYTHON, f"{FOLDER}/naive_sink.py", f"{FOLDER}/{self._name}.json"]
        running = [
            "systemctl",
            "is-active",
            "--quiet",
            self._unit,
            "||",
            "sudo",
            "systemd-run",
            *options,
            *command,
        ]
        remote.run(probe.APPS, ["sh", "-c", " ".join(running)])

    def kill(self) -> None:
        """Kill it between its two commits."""
        remote.run(probe.APPS, ["sudo", "sh", "-s", self._unit, str(self._config["status"])], stdin=AIM)

    def stop(self) -> None:
        """Stop it, if it runs."""
        remote.run(
            probe.APPS, ["sudo", "sh", "-c", f"! systemctl stop {self._unit} 2>&1 | grep -v 'not loaded'"]
        )

    def passed(self, last: Mapping[int, int]) -> bool:
        """Tell whether it is done with the messages up to the offsets `last` by partition."""
        told = json.loads(remote.run(probe.APPS, ["cat", str(self._config["status"])]))
        positions = {int(partition): offset for partition, offset in told["positions"].items()}
        return told["phase"] == "idle" and all(
            positions[partition] > offset for partition, offset in last.items()
        )

    def found(self, sensors: probe.Sensors) -> Found:
        """Return what it left."""
        return Found(
            rows=stored.measurements(sensors.prefix, self._database),
            rejects=[
                (place, row["reason"]) for place, row in sensors.rejects("reason", database=self._database)
            ],
            counts=stored.counts(sensors.prefix, self._database),
        )


@contextmanager
def running(orders: tuple[str, ...], prefix: str, offsets: Mapping[str, int]) -> Iterator[list[Twin]]:
    """Run a twin of each order, each on a database of its own; nothing of them is left afterwards."""
    names = {order: f"naive_{prefix.replace('-', '_')}_{order.split()[0]}" for order in orders}
    twins = [Twin(order, prefix, offsets, names[order]) for order in orders]
    try:
        for twin in twins:
            probe.execute(f"CREATE DATABASE {names[twin.order]} OWNER sensors_owner")
            sql.execute(probe.DATABASE, TABLES, database=names[twin.order])
            twin.start()
        yield twins
    finally:
        for twin in twins:
            twin.stop()
            probe.execute(f"DROP DATABASE IF EXISTS {names[twin.order]} WITH (FORCE)")
        if twins:
            remote.run(probe.APPS, ["sudo", "rm", "-rf", "--", FOLDER])
