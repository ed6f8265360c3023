"""How the services of an application are deployed: what they use, and their program."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.model.project import LOCK, check_scripts, read_projects
from millrace.model.schedules import EXAMPLES, is_schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.yamlio import Reader

# Keys of an application's service that the platform's services don't have.
PROGRAM_KEYS = ("uses", "program")
# What a service may use, each with the keys that it must and may have.
_USES: dict[str, tuple[list[str], list[str]]] = {
    "hdfs": (["required"], []),
    "kafka": (["account"], []),
    "spark": (["cores_max"], ["driver_memory"]),
    "timescaledb": (["database", "account"], []),
}
_TEXTS = ("description", "memory_max", "schedule", "user")
_PROGRAM = ("entry", "commands", "config", "data", "secrets", "settings", "state", *_TEXTS)
_MOST_CORES = 10_000
_MEMORY = re.compile(r"[1-9][0-9]*[KMGT]|infinity")
_HEAP = re.compile(r"[1-9][0-9]*[kmgKMG]")
# A specifier of systemd's, a line's continuation, or another line of the unit.
_NO_LINE = re.compile(r"[%\\\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Program:
    """A Python service or, with `cores_max` set, a Spark driver. Empty texts stand for the roles' defaults.

    `projects` are the folders of its project and of those it needs, in the order of installation; `uses` are
    names of the catalogue's clients; `data` is {} or {package, files} of a source distribution on PyPI.
    `settings` are those keys of `config` that come from what the application's services share; `secrets` maps
    further keys of its settings to names of secrets.
    """

    name: str
    application: str
    group: str
    projects: tuple[Path, ...]
    entry: str
    uses: tuple[str, ...] = ()
    kafka_account: str = ""
    database: str = ""
    database_account: str = ""
    needs_hdfs: bool = False
    cores_max: int | None = None
    driver_memory: str = ""
    description: str = ""
    memory_max: str = ""
    schedule: str = ""
    user: str = ""
    state: bool = False
    commands: tuple[str, ...] = ()
    data: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The folder of its own project."""
        return self.projects[-1]

    def plain(self) -> dict[str, Any]:
        """Return it as Ansible gets it: no paths and tuples, and every key is there."""
        return {
            "name": self.name,
            "application": self.application,
            "group": self.group,
            "kind": "python" if self.cores_max is None else "spark",
            "projects": [str(path) for path in self.projects],
            "requirements": str(self.project / LOCK),
            "entry": self.entry,
            "uses": list(self.uses),
            "kafka_account": self.kafka_account,
            "database": self.database,
            "database_account": self.database_account,
            "cores_max": self.cores_max or 1,
            "driver_memory": self.driver_memory,
            "description": self.description or self.name,
            "memory_max": self.memory_max,
            "schedule": self.schedule,
            "user": self.user or self.name,
            "state": self.state,
            "commands": list(self.commands),
            "data": dict(self.data),
            "config": dict(self.config),
            "settings": list(self.settings),
            "secrets": dict(self.secrets),
        }


def read_program(
    reader: Reader, folder: Path, name: str, entry: Mapping[str, object], shared: Mapping[str, object]
) -> Program:
    """Return a service's program, noting what is wrong with it; `shared` are the application's settings."""
    where = f"services.{name}"
    uses = reader.fields(entry.get("uses", {}), f"{where}.uses", [], tuple(_USES))
    used = {
        name: reader.fields(uses[name], f"{where}.uses.{name}", *keys) if name in uses else {}
        for name, keys in _USES.items()
    }
    sql, spark = used["timescaledb"], used["spark"]
    place = f"{where}.program"
    if "program" not in entry:
        reader.add(place, "is missing")
    fields = reader.fields(entry.get("program", {}), place, ["project"], _PROGRAM)
    config = dict(reader.mapping(fields.get("config", {}), f"{place}.config"))
    settings = reader.texts(fields, "settings", place)
    for key in settings:
        if key in shared:
            config[key] = shared[key]
        else:
            reader.add(f"{place}.settings", f"{key!r} is not in the file's settings")
    secrets = reader.mapping(fields.get("secrets", {}), f"{place}.secrets")
    for key in secrets:
        if key in config:
            reader.add(f"{place}.secrets.{key}", "stands in the program's config or settings too")
    project = reader.text(fields, "project", place)
    own = (folder / project).resolve()
    program = Program(
        name=name,
        application=folder.name,
        group=str(entry.get("group", "")),
        projects=read_projects(reader, own, f"{place}.project") if project else (own,),
        entry=reader.text(fields, "entry", place, name),
        uses=tuple(sorted(uses)),
        kafka_account=reader.text(used["kafka"], "account", f"{where}.uses.kafka"),
        database=reader.text(sql, "database", f"{where}.uses.timescaledb"),
        database_account=reader.text(sql, "account", f"{where}.uses.timescaledb"),
        needs_hdfs=reader.flag(used["hdfs"], "required", f"{where}.uses.hdfs"),
        cores_max=_cores_max(reader, spark, f"{where}.uses.spark"),
        driver_memory=reader.text(spark, "driver_memory", f"{where}.uses.spark"),
        **{key: reader.text(fields, key, place) for key in _TEXTS},
        state=reader.flag(fields, "state", place),
        commands=reader.texts(fields, "commands", place),
        data=_data(reader, fields, f"{place}.data"),
        config=config,
        settings=settings,
        secrets={key: reader.text(secrets, key, f"{place}.secrets") for key in secrets},
    )
    _check_texts(reader, program, where)
    if project:
        commands = [(f"{place}.commands", command) for command in program.commands]
        check_scripts(reader, own, [(f"{place}.entry", program.entry), *commands])
    return program


def _check_texts(reader: Reader, program: Program, where: str) -> None:
    """Note each text that systemd or the JVM would not take."""
    place = f"{where}.program"
    if program.schedule and not is_schedule(program.schedule):
        wrong = f"systemd takes no {program.schedule!r}; write such as {EXAMPLES} (man systemd.time)"
        reader.add(f"{place}.schedule", wrong)
    if program.memory_max and not _MEMORY.fullmatch(program.memory_max):
        reader.add(f"{place}.memory_max", f"must be a size such as 256M or 1G, not {program.memory_max!r}")
    if program.driver_memory and not _HEAP.fullmatch(program.driver_memory):
        wrong = f"must be a size such as 512m or 1g, not {program.driver_memory!r}"
        reader.add(f"{where}.uses.spark.driver_memory", wrong)
    if _NO_LINE.search(program.description):
        reader.add(f"{place}.description", "must be one line without % and \\, which systemd would replace")


def _cores_max(reader: Reader, spark: Mapping[str, object], where: str) -> int | None:
    return reader.integer(spark, "cores_max", where, 0, _MOST_CORES) if spark else None


def _data(reader: Reader, fields: Mapping[str, object], where: str) -> dict[str, object]:
    if "data" not in fields:
        return {}
    data = reader.fields(fields["data"], where, ["package", "files"])
    return {"package": reader.text(data, "package", where), "files": list(reader.texts(data, "files", where))}
