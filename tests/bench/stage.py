"""What throughput is measured on: a database, a topic and an instance of the job, all of the bench's own.

The instance is the deployed code with the deployed environment and settings, on another topic and database.
The deployed job and the lake's maintenance stand still meanwhile: their slots and ports are what it runs on.
"""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import probe

from millrace import paths
from millrace.access import remote, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

JOB = "sensors-job.service"
MAINTENANCE = "sensors-lake"
UNIT = "millrace-bench-job.service"
FOLDER = "/run/millrace-bench"
CONFIG = f"{FOLDER}/job.json"
DATABASE = "millrace_bench"
TOPICS = "sensors.bench-"
COPY_FILE = "/var/lib/postgresql/millrace-bench.copy"
KAFKA_CLI = ("sudo", "/usr/local/bin/kafka-cli", "TopicCommand")
BROKER = probe.ENVIRONMENT.topology.members("kafka")[0].name
MIGRATIONS = paths.repo_root() / "services" / "sensors" / "migrations"


def ask_systemd(unit: str, *properties: str) -> dict[str, str]:
    """Return properties of a unit on the apps node."""
    options = [f"--property={name}" for name in properties]
    lines = remote.run(probe.APPS, ["systemctl", "show", *options, unit]).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _systemctl(*words: str) -> None:
    remote.run(probe.APPS, ["sudo", "systemctl", *words])


@contextmanager
def deployed_job_stopped() -> Iterator[None]:
    """Stop the deployed job and the lake's timer; start what ran again, whatever happens."""
    services = probe.ENVIRONMENT.catalogue.services
    units = [JOB, *([services[MAINTENANCE].unit] if MAINTENANCE in services else [])]
    ran = [unit for unit in units if ask_systemd(unit, "ActiveState").get("ActiveState") == "active"]
    try:
        if ran:
            _systemctl("stop", *ran)
        probe.wait_until(
            "the lake's maintenance to end",
            lambda: (
                ask_systemd(f"{MAINTENANCE}.service", "ActiveState")["ActiveState"] in {"inactive", "failed"}
            ),
        )
        yield
    finally:
        if ran:
            _systemctl("start", *ran)


def job_config(deployed: Mapping[str, Any], topic: str, kafka_password: str, cores: int) -> dict[str, Any]:
    """Return the settings of the bench's instance: the deployed job's, but for where it reads and writes.

    It reads as the tests' user, whom the brokers allow to read any topic of the sensors. Without the lake,
    which none of the others writes either. `cores` is the number of its slots.
    """
    return {
        **deployed,
        "kafka": {**deployed["kafka"], "username": "tests", "password": kafka_password},
        "postgres": {**deployed["postgres"], "database": DATABASE},
        "topics": {**deployed.get("topics", {}), "measurements": topic},
        "group_prefix": "tests-bench",
        "run_directory": f"/run/{UNIT.removesuffix('.service')}",
        "lake": None,
        "spark": {
            **deployed.get("spark", {}),
            "spark.app.name": "bench",
            "spark.cores.max": str(cores),
            "spark.eventLog.enabled": "false",
        },
    }


def deployed_config() -> dict[str, Any]:
    """Return the deployed job's settings, with its passwords."""
    text = remote.run(probe.APPS, ["sudo", "cat", "/etc/millrace/sensors-job/config.json"])
    settings: dict[str, Any] = json.loads(text)
    return settings


def job_environment() -> tuple[dict[str, str], str, str, str]:
    """Return environment, user, group and further groups of the deployed job's unit."""
    found = ask_systemd(JOB, "Environment", "User", "Group", "SupplementaryGroups")
    pairs = (word.split("=", 1) for word in shlex.split(found["Environment"]))
    return dict(pairs), found["User"], found["Group"], found.get("SupplementaryGroups", "")


def start_job(topic: str, cores: int) -> None:
    """Start the instance and wait until it is well; it must not run yet."""
    environment, user, group, groups = job_environment()
    config = job_config(deployed_config(), topic, probe.password("kafka_tests"), cores)
    remote.run(probe.APPS, ["sudo", "install", "-d", "-m", "0755", FOLDER])
    write = f"umask 077; cat >{CONFIG} && chown {user} {CONFIG}"
    remote.run(probe.APPS, ["sudo", "sh", "-c", write], stdin=json.dumps(config))
    settings = {
        "User": user,
        "Group": group,
        "SupplementaryGroups": groups,
        "UMask": "0077",
        "RuntimeDirectory": UNIT.removesuffix(".service"),
        "KillMode": "mixed",
        "SuccessExitStatus": "143",
        "TimeoutStopSec": "60",
    }
    command = ["sudo", "systemd-run", "--quiet", "--collect", f"--unit={UNIT}"]
    command += [f"--property={key}={value}" for key, value in settings.items() if value]
    command += [f"--setenv={key}={value}" for key, value in environment.items()]
    remote.run(probe.APPS, [*command, "/opt/millrace/sensors-job/venv/bin/sensors-job", "--config", CONFIG])

    def well() -> bool:
        state = ask_systemd(UNIT, "ActiveState").get("ActiveState")
        assert state in {"active", "activating"}, f"{UNIT} is {state}; sudo journalctl -u {UNIT} tells why"
        return probe.answering("sensors-job")

    probe.wait_until("the bench's job to be well", well)


def stop_job() -> None:
    """Stop the instance, if it runs."""
    remote.run(probe.APPS, ["sudo", "sh", "-c", f"! systemctl stop {UNIT} 2>&1 | grep -v 'not loaded'"])


def make_topic(topic: str, partitions: int) -> None:
    """Make a topic as the deployed one is, but for its number of partitions."""
    replicas = min(3, len(probe.BROKERS))
    options = ["--partitions", str(partitions), "--replication-factor", str(replicas)]
    options += ["--config", "message.timestamp.type=LogAppendTime"]
    remote.run(BROKER, [*KAFKA_CLI, "--create", "--topic", topic, *options])


def remove_topics() -> None:
    """Remove the bench's topics, also those of a run that was killed."""
    names = remote.run(BROKER, [*KAFKA_CLI, "--list"]).split()
    for topic in names:
        if topic.startswith(TOPICS):
            remote.run(BROKER, [*KAFKA_CLI, "--delete", "--topic", topic])


def make_database() -> None:
    """Make the database by the job's own migrations."""
    probe.execute(f"CREATE DATABASE {DATABASE} OWNER sensors_owner TEMPLATE template0 ENCODING 'UTF8'")
    migrations = [path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql"))]
    statements = ["CREATE EXTENSION IF NOT EXISTS timescaledb;", "SET ROLE sensors_owner;", *migrations]
    execute("\n".join(statements))


def execute(statement: str) -> str:
    """Run statements in the bench's database, as superuser."""
    return sql.execute(probe.DATABASE, statement, database=DATABASE)


def remove_database() -> None:
    """Remove the database and the file beside it."""
    probe.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    remote.run(probe.DATABASE, ["sudo", "rm", "-f", "--", COPY_FILE])


@contextmanager
def running(topic: str, partitions: int, cores: int) -> Iterator[None]:
    """Run the job on a new database and topic; nothing of them is left afterwards, whatever happens."""
    steps: Sequence[Any] = (stop_job, remove_database, remove_topics)
    for step in steps:  # of a run that was killed
        step()
    try:
        make_database()
        make_topic(topic, partitions)
        start_job(topic, cores)
        yield
    finally:
        errors = []
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the next step has to be done nevertheless
                errors.append(error)
        remote.run(probe.APPS, ["sudo", "rm", "-rf", "--", FOLDER])
        if errors:
            message = "what the bench made could not be removed"
            raise ExceptionGroup(message, errors)
