"""The platform's catalogue and the applications' declarations, joined: services, flows, collisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.model.kafka import ADMIN, TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from millrace.model.applications import Application
    from millrace.model.programs import Program

PLATFORM = "ansible/catalogue.yml"


def join(platform: object, applications: Mapping[str, Application]) -> object:
    """Return the catalogue's content with the applications' services in it, as plain data.

    The group of a service that uses something is added to `from` of the ports that offer it, and those that
    offer it become what the service needs; but not HDFS, without which a service is left out, or does less.
    What is wrong with the platform's part is left as it is, for `read_catalogue` to tell.
    """
    if not isinstance(platform, dict) or not isinstance(platform.get("services"), dict):
        return platform
    services = {name: _copy(service) for name, service in platform["services"].items()}
    clients = platform.get("clients", {}) if isinstance(platform.get("clients", {}), dict) else {}
    for application in applications.values():
        for program in application.programs.values():
            for use in program.uses:
                for offered in clients.get(use, []):
                    _grant(services, str(offered), program.group)
        services |= {
            name: _with_needs(service, application.programs.get(name), clients)
            for name, service in application.services.items()
            if name not in services
        }
    return {**platform, "services": services}


def _with_needs(
    service: Mapping[str, object], program: Program | None, clients: Mapping[str, Iterable[object]]
) -> Mapping[str, object]:
    uses = [] if program is None else [use for use in program.uses if use != "hdfs"]
    needs = dict.fromkeys(str(one).partition(".")[0] for use in uses for one in clients.get(use, []))
    return {**service, "needs": list(needs)} if needs else service


def _copy(service: object) -> object:
    if not isinstance(service, dict) or not isinstance(service.get("ports"), dict):
        return service
    ports = {name: dict(port) if isinstance(port, dict) else port for name, port in service["ports"].items()}
    return {**service, "ports": ports}


def _grant(services: Mapping[str, object], offered: str, group: str) -> None:
    """Let a group reach SERVICE.PORT."""
    name, _, port = offered.partition(".")
    service = services.get(name)
    found = (
        service["ports"].get(port)
        if isinstance(service, dict) and isinstance(service.get("ports"), dict)
        else None
    )
    if isinstance(found, dict) and isinstance(found.get("from"), list) and group not in found["from"]:
        found["from"] = [*found["from"], group]


def collisions(
    platform: object,
    secrets: Mapping[str, object],
    applications: Mapping[str, Application],
    targets: Iterable[str] = (),
) -> list[str]:
    """Return a problem for each name that two declare, naming both.

    `secrets` are the platform's; `targets` are names that make knows already, which no command can have.
    """
    owners: dict[tuple[str, str], str] = {
        ("Kafka account", ADMIN): PLATFORM,
        ("Kafka account", TESTS): PLATFORM,
    }
    owners |= {("command", name): "the Makefile or a file beside it" for name in targets}
    owners |= {("secret", name): "ansible/secrets.yml" for name in secrets}
    owners |= {("service", name): PLATFORM for name in _services(platform)}
    first: dict[tuple[str, str], str] = {}
    problems = []
    for folder, application in applications.items():
        place = f"services/{folder}/application.yml"
        seen: set[tuple[str, str]] = set()
        for key in _declared(application):
            what = f"the {key[0]} {key[1]!r}"
            other = first.setdefault(key, place)
            if key in owners:
                problems.append(f"{place}: {what} is already declared by {owners[key]}; choose another name")
            elif other == place and key in seen:
                problems.append(f"{place}: {what} is declared twice in this file; keep one")
            elif other != place:
                # Neither is the one at fault: that one comes first says only how the folders are called.
                problems.append(f"{other} and {place} both declare {what}; rename it in one of them")
            seen.add(key)
    return problems


def _services(platform: object) -> Iterator[str]:
    """Yield the names of the platform's services and of their units, which would be those of a service."""
    if isinstance(platform, dict) and isinstance(platform.get("services"), dict):
        for name, service in platform["services"].items():
            yield name
            if isinstance(service, dict) and isinstance(service.get("unit"), str):
                yield service["unit"].rpartition(".")[0]


def _declared(application: Application) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of everything that may be declared once in an environment."""
    named: list[tuple[str, list[str]]] = [
        ("service", list(application.services)),
        ("secret", list(application.secrets)),
        ("topic", [topic.name for topic in application.topics]),
        ("Kafka account", list(application.accounts)),
        ("database", list(application.databases)),
        ("database account", [role for one in application.databases.values() for role in one.accounts]),
        ("HDFS directory", [directory.path for directory in application.directories]),
        ("command", list(application.commands)),
    ]
    for kind, names in named:
        for name in names:
            yield kind, name


def slot_problems(programs: Iterable[Program], workers: int, cores: int) -> list[str]:
    """Return a problem if the Spark drivers together take more slots than `workers` of `cores` each offer."""
    taken = {program.name: program.cores_max for program in programs if program.cores_max}
    offered = workers * cores
    if sum(taken.values()) <= offered:
        return []
    listed = ", ".join(f"{name} {number}" for name, number in taken.items())
    message = (
        f"Spark: the drivers take {sum(taken.values())} slots ({listed}), but {workers} workers offer"
        f" {offered}; raise spark_worker_cores, add workers or lower cores_max"
    )
    return [message]
