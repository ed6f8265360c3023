"""The applications' declarations, services/<application>/application.yml: all that is known of them.

docs/adding-an-application.md explains each key. What a declaration says of services is read as the
catalogue's (model/catalogue.py); here is what it says besides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.model.commands import Command, StatusPage, read_commands, read_status
from millrace.model.hdfs import Directory, read_directories
from millrace.model.kafka import Acl, Topic, check_topics, read_acls, read_topics
from millrace.model.migrations import migration_problems
from millrace.model.names import (
    APPLICATION,
    DATABASE,
    DATABASE_ACCOUNT,
    KAFKA_ACCOUNT,
    SECRET,
    SERVICE,
    USER,
    check_names,
)
from millrace.model.nearly import nearly_declared
from millrace.model.programs import PROGRAM_KEYS, Program, read_program
from millrace.model.secret_kinds import SecretKind, read_secret_kinds
from millrace.model.units import check_unit
from millrace.yamlio import InvalidInputError, Reader, load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "application.yml"
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
    """One folder of services/.

    `accounts` maps Kafka's users to their secrets; `services` are entries as the catalogue's, in order.
    """

    name: str
    folder: Path
    secrets: Mapping[str, SecretKind] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    acls: tuple[Acl, ...] = ()
    databases: Mapping[str, Database] = field(default_factory=dict)
    directories: tuple[Directory, ...] = ()
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
    problems = list(nearly_declared(services, FILE))
    for path in sorted(services.glob(f"*/{FILE}")):
        if not path.is_file():
            continue  # told above
        reader = Reader()
        found[path.parent.name] = read_application(path.parent, load_yaml(path), reader)
        problems += [f"services/{path.parent.name}/{FILE}: {problem}" for problem in reader.problems]
    places = {f"services/{name}/{FILE}": application for name, application in found.items()}
    problems += check_topics(
        {place: application.topics for place, application in places.items()},
        {place: application.acls for place, application in places.items()},
    )
    if problems:
        raise InvalidInputError(problems)
    return found


def read_application(folder: Path, data: object, reader: Reader) -> Application:
    """Return what can be made out of a declaration's content, noting what is wrong with it."""
    top = reader.fields(data, "", ["services"], _KEYS)
    kafka = reader.fields(top.get("kafka", {}), "kafka", [], ["topics", "accounts", "acls"])
    accounts = _texts_by_name(reader, kafka.get("accounts", {}), "kafka.accounts")
    hdfs = reader.fields(top.get("hdfs", {}), "hdfs", [], ["directories"])
    listed = reader.mapping(top["services"], "services") if "services" in top else {}
    shared = reader.mapping(top.get("settings", {}), "settings")
    services: dict[str, Mapping[str, object]] = {}
    programs: dict[str, Program] = {}
    for name, value in listed.items():
        entry = reader.mapping(value, f"services.{name}")
        services[name] = {key: item for key, item in entry.items() if key not in PROGRAM_KEYS}
        programs[name] = read_program(reader, folder, name, entry, shared)
        check_unit(reader, name, entry, scheduled=bool(programs[name].schedule))
    application = Application(
        name=folder.name,
        folder=folder,
        secrets=read_secret_kinds(reader, top.get("secrets", {})),
        topics=read_topics(reader, kafka.get("topics", [])),
        accounts=accounts,
        acls=read_acls(reader, kafka.get("acls", []), accounts),
        databases={
            name: _database(reader, folder, name, value)
            for name, value in reader.mapping(top.get("databases", {}), "databases").items()
        },
        directories=read_directories(reader, hdfs.get("directories", [])),
        services=services,
        programs=programs,
        status=read_status(reader, top["status"]) if "status" in top else None,
        commands=read_commands(reader, top.get("commands", {}), list(services)),
    )
    _check_names(reader, application)
    _check_references(reader, application)
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
            elif key == "migrations":
                for problem in migration_problems(folder / text):
                    reader.add(f"{where}.{key}", problem)
            elif not (folder / text).is_file():
                reader.add(f"{where}.{key}", f"{folder / text} must be a file")
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


def _texts_by_name(reader: Reader, value: object, where: str) -> dict[str, str]:
    fields = reader.mapping(value, where)
    return {name: reader.text(fields, name, where) for name in fields}


def _check_names(reader: Reader, application: Application) -> None:
    """Note each name that the system, Kafka or PostgreSQL would not take."""
    if problem := APPLICATION.problem(application.name):
        reader.add("folder", problem)
    check_names(reader, SECRET, application.secrets, "secrets")
    check_names(reader, SERVICE, application.services, "services")
    check_names(reader, KAFKA_ACCOUNT, application.accounts, "kafka.accounts")
    check_names(reader, DATABASE, application.databases, "databases")
    for database in application.databases.values():
        check_names(reader, DATABASE_ACCOUNT, database.accounts, f"databases.{database.name}.accounts")
    for program in application.programs.values():
        if program.user and (problem := USER.problem(program.user)):
            reader.add(f"services.{program.name}.program.user", problem)


def _check_references(reader: Reader, application: Application) -> None:
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
