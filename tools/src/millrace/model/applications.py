"""The applications' declarations, services/<application>/application.yml: all that is known of them.

docs/adding-an-application.md explains each key. What a declaration says of services is read as the
catalogue's (model/catalogue.py); here is what it says besides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.model.commands import Command, StatusPage, read_commands, read_status
from millrace.model.programs import PROGRAM_KEYS, Program, read_program
from millrace.model.secret_kinds import SecretKind, read_secret_kinds
from millrace.yamlio import InvalidInputError, Reader, load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "application.yml"
COPIES = 32767  # Kafka has 16 bits for the number of a topic's copies
_KEYS = ("secrets", "kafka", "databases", "hdfs", "settings", "services", "status", "commands")


@dataclass(frozen=True, slots=True)
class Database:
    """A database: `accounts` maps its roles to their secrets; paths are absolute, empty for none."""

    name: str
    owner: str
    extensions: tuple[str, ...]
    migrations: str
    community_script: str
    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Application:
    """One folder of services/. `topics`, `acls` and `directories` are as the roles kafka and hdfs take them.

    `accounts` maps Kafka's users to their secrets; `services` are entries as the catalogue's, in order.
    """

    name: str
    folder: Path
    secrets: Mapping[str, SecretKind] = field(default_factory=dict)
    topics: tuple[Mapping[str, object], ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    acls: tuple[Mapping[str, object], ...] = ()
    databases: Mapping[str, Database] = field(default_factory=dict)
    directories: tuple[Mapping[str, object], ...] = ()
    services: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    status: StatusPage | None = None
    commands: Mapping[str, Command] = field(default_factory=dict)

    def plain(self, program: Program) -> dict[str, Any]:
        """Return one of its programs as Ansible gets it, with the names of the secrets that it needs."""
        database = self.databases.get(program.database)
        return {
            **program.plain(),
            "kafka_secret": self.accounts.get(program.kafka_account, ""),
            "database_secret": "" if database is None else database.accounts[program.database_account],
        }


def load_applications(services: Path) -> dict[str, Application]:
    """Read every declaration below `services`, by the name of its folder.

    Raises InvalidInputError with every problem, each naming its file and key.
    """
    found: dict[str, Application] = {}
    problems: list[str] = []
    for path in sorted(services.glob(f"*/{FILE}")):
        reader = Reader()
        found[path.parent.name] = read_application(path.parent, load_yaml(path), reader)
        problems += [f"services/{path.parent.name}/{FILE}: {problem}" for problem in reader.problems]
    if problems:
        raise InvalidInputError(problems)
    return found


def read_application(folder: Path, data: object, reader: Reader) -> Application:
    """Return what can be made out of a declaration's content, noting what is wrong with it."""
    top = reader.fields(data, "", ["services"], _KEYS)
    kafka = reader.fields(top.get("kafka", {}), "kafka", [], ["topics", "accounts", "acls"])
    hdfs = reader.fields(top.get("hdfs", {}), "hdfs", [], ["directories"])
    listed = reader.mapping(top["services"], "services") if "services" in top else {}
    shared = reader.mapping(top.get("settings", {}), "settings")
    services: dict[str, Mapping[str, object]] = {}
    programs: dict[str, Program] = {}
    for name, value in listed.items():
        entry = reader.mapping(value, f"services.{name}")
        services[name] = {key: item for key, item in entry.items() if key not in PROGRAM_KEYS}
        programs[name] = read_program(reader, folder, name, entry, shared)
    application = Application(
        name=folder.name,
        folder=folder,
        secrets=read_secret_kinds(reader, top.get("secrets", {})),
        topics=_entries(
            reader, kafka, "kafka", "topics", ["name", "partitions"], ["replication_factor", "config"]
        ),
        accounts=_texts_by_name(reader, kafka.get("accounts", {}), "kafka.accounts"),
        acls=_entries(
            reader, kafka, "kafka", "acls", ["user", "name", "operations"], ["resource", "pattern"]
        ),
        databases={
            name: _database(reader, folder, name, value)
            for name, value in reader.mapping(top.get("databases", {}), "databases").items()
        },
        directories=_entries(reader, hdfs, "hdfs", "directories", ["path", "owner", "group", "mode"], []),
        services=services,
        programs=programs,
        status=read_status(reader, top["status"]) if "status" in top else None,
        commands=read_commands(reader, top.get("commands", {}), list(services)),
    )
    _check_names(reader, application)
    return application


def _database(reader: Reader, folder: Path, name: str, value: object) -> Database:
    where = f"databases.{name}"
    fields = reader.fields(
        value, where, ["owner", "accounts"], ["extensions", "migrations", "community_script"]
    )
    paths = {}
    for key in ("migrations", "community_script"):
        paths[key] = ""
        if text := reader.text(fields, key, where):
            paths[key] = str(folder / text)
            if not (folder / text).exists():
                reader.add(f"{where}.{key}", f"there is no {folder / text}")
    database = Database(
        name=name,
        owner=reader.text(fields, "owner", where),
        extensions=reader.texts(fields, "extensions", where),
        migrations=paths["migrations"],
        community_script=paths["community_script"],
        accounts=_texts_by_name(reader, fields.get("accounts", {}), f"{where}.accounts"),
    )
    if database.owner and database.owner not in database.accounts:
        reader.add(f"{where}.owner", f"{database.owner!r} is none of its accounts")
    return database


def _entries(  # noqa: PLR0913, PLR0917 - one list of mappings, wherever it stands
    reader: Reader,
    fields: Mapping[str, object],
    where: str,
    key: str,
    required: list[str],
    optional: list[str],
) -> tuple[Mapping[str, object], ...]:
    value = fields.get(key, [])
    if not isinstance(value, list):
        reader.add(f"{where}.{key}", f"must be a list, not {value!r}")
        return ()
    return tuple(
        reader.fields(item, f"{where}.{key}[{index}]", required, optional) for index, item in enumerate(value)
    )


def _texts_by_name(reader: Reader, value: object, where: str) -> dict[str, str]:
    fields = reader.mapping(value, where)
    return {name: reader.text(fields, name, where) for name in fields}


def _check_names(reader: Reader, application: Application) -> None:
    """Note each name in a declaration that stands for nothing in it."""
    accounts = {f"kafka.accounts.{user}": secret for user, secret in application.accounts.items()}
    for database in application.databases.values():
        where = f"databases.{database.name}.accounts"
        accounts |= {f"{where}.{role}": secret for role, secret in database.accounts.items()}
    for program in application.programs.values():
        where = f"services.{program.name}.program.secrets"
        accounts |= {f"{where}.{key}": secret for key, secret in program.secrets.items()}
    for where, secret in accounts.items():
        if secret not in application.secrets:
            reader.add(where, f"there is no secret {secret!r} in this file")
    _check_uses(reader, application)
    for index, topic in enumerate(application.topics):
        where = f"kafka.topics[{index}]"
        reader.integer(topic, "replication_factor", where, 1, COPIES)
        config = reader.mapping(topic.get("config", {}), f"{where}.config")
        reader.integer(config, "min.insync.replicas", f"{where}.config", 1, COPIES)
    if page := application.status:
        if page.database not in application.databases:
            reader.add("status.database", f"there is no database {page.database!r}")
        for index, one in enumerate(page.metrics):
            if one.service not in application.services:
                reader.add(f"status.metrics[{index}].service", f"there is no service {one.service!r}")


def _check_uses(reader: Reader, application: Application) -> None:
    """Note each account and database that a service uses and the declaration doesn't have."""
    for program in application.programs.values():
        where = f"services.{program.name}.uses"
        if program.kafka_account and program.kafka_account not in application.accounts:
            reader.add(f"{where}.kafka.account", "is none of kafka.accounts")
        if program.database:
            database_ = application.databases.get(program.database)
            if database_ is None:
                reader.add(f"{where}.timescaledb.database", f"there is no database {program.database!r}")
            elif program.database_account not in database_.accounts:
                reader.add(f"{where}.timescaledb.account", "is no account of that database")
