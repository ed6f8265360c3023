"""The tests of what job and lifecycle do in the database, on a throw-away database of the real server."""

from __future__ import annotations

import json
import socket
import subprocess
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import nested
import probe
import pytest

from millrace import paths
from millrace.access import sql
from millrace.access.remote import ssh_argv
from millrace.model import secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

OWNER = "sensors_owner"
MIGRATIONS = paths.repo_root() / "services" / "sensors" / "migrations"
TESTED = ("sink", "lifecycle_database", "batch_database")
TESTS = [f"{nested.JOB_TESTS}/test_{name}.py" for name in TESTED]


@contextmanager
def database() -> Iterator[str]:
    """Make a database as the role timescaledb makes it, yield its name, and drop it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    probe.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    try:
        sql.execute(probe.DATABASE, "CREATE EXTENSION timescaledb", database=name)
        for path in sorted(MIGRATIONS.glob("*.sql")):
            text = path.read_text(encoding="utf-8")
            sql.execute(probe.DATABASE, f"SET ROLE {OWNER}; BEGIN; {text} COMMIT;", database=name)
        yield name
    finally:
        probe.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def tunnel(node: str, port: int) -> Iterator[int]:
    """Yield a port of this machine that leads to `port` of `node` over SSH."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        local = free.getsockname()[1]
    argv = ssh_argv(node, ["cat"])
    argv[1:1] = ["-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local}:{node}:{port}"]
    # `cat` ends, and ssh with it, when its standard input is closed.
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:  # noqa: S603 - our own argv

        def open_() -> bool:
            assert process.poll() is None, "ssh has ended"
            with socket.socket() as probing:
                return probing.connect_ex(("127.0.0.1", local)) == 0

        probe.wait_until(f"the tunnel to {node}:{port}", open_)
        yield local


def test_the_transaction_of_one_partition_and_the_functions_of_the_lifecycle() -> None:
    vault = secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())
    server = probe.ENVIRONMENT.catalogue.services["timescaledb"].ports["sql"].first
    with database() as name, tunnel(probe.DATABASE, server) as port:
        arguments = {
            "host": probe.DATABASE,
            "hostaddr": "127.0.0.1",
            "port": port,
            "dbname": name,
            "user": OWNER,
            "password": vault["postgres_sensors_owner"],
            "sslmode": "verify-full",
            "sslrootcert": str(paths.state_dir() / "pki" / "ca.crt"),
        }
        nested.passes(TESTS, {"SENSORS_JOB_TEST_DATABASE": json.dumps(arguments)})
