"""The applications' declarations: what is wrong in one, and what must fit together between all of them."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from declarations import DOORS, changed, read
from hypothesis import given
from hypothesis import strategies as st

from millrace import paths
from millrace.model import validation, variables
from millrace.model.applications import Application, load_applications, read_application
from millrace.model.catalogue import parse_catalogue
from millrace.model.hdfs import Directory
from millrace.model.joined import collisions, join, slot_problems
from millrace.model.kafka import Topic
from millrace.model.programs import Program
from millrace.yamlio import InvalidInputError, Reader

if TYPE_CHECKING:
    from pathlib import Path

PLATFORM: dict[str, Any] = {
    "clients": {"kafka": ["kafka.client"], "timescaledb": ["db.sql"]},
    "services": {
        "kafka": {
            "group": "kafka",
            "unit": "kafka.service",
            "ports": {
                "client": {"port": 9092, "protocol": "tcp", "tls": "server", "from": ["db"]},
                "internal": {"port": 9093, "protocol": "tcp", "tls": "mutual", "from": ["kafka"]},
            },
            "health": {"type": "tcp", "port": "client"},
            "metrics": None,
            "gateway": None,
        },
        "db": {
            "group": "db",
            "unit": "postgresql@17-main.service",
            "ports": {"sql": {"port": 5432, "protocol": "tcp", "tls": "server", "from": []}},
            "health": {"type": "tcp", "port": "sql"},
            "metrics": None,
            "gateway": None,
        },
    },
}


def test_a_declaration_is_read(services: Path) -> None:
    application, problems = read(services, DOORS)
    assert problems == []
    (program,) = application.programs.values()
    assert (program.kafka_account, program.database, program.cores_max) == ("doors", "doors", None)
    assert program.project == services / "doors" / "doors"
    plain = application.plain(program)
    assert (plain["kafka_secret"], plain["database_secret"]) == ("kafka_doors", "kafka_doors")
    assert plain["secrets"] == {"key": "kafka_doors"}
    assert not {"uses", "program"} & application.services["doors"].keys()


@pytest.mark.parametrize(
    ("keys", "value", "problem"),
    [
        ("topics", [], "topics: unknown key"),
        ("kafka/topics", {}, "kafka.topics: must be a list"),
        ("kafka/topics/0/partition", 3, "kafka.topics[0].partition: unknown key"),
        ("kafka/topics/0/config", [], "kafka.topics[0].config: must be a mapping"),
        (
            "kafka/topics/0/replication_factor",
            0,
            "topics[0].replication_factor: must be a whole number from 1",
        ),
        (
            "kafka/topics/0/config",
            {"min.insync.replicas": "two"},
            "topics[0].config.min.insync.replicas: must be a whole number from 1",
        ),
        ("kafka/accounts/doors", "kafka_door", "kafka.accounts.doors: there is no secret 'kafka_door'"),
        ("databases/doors/owner", "x", "databases.doors.owner: 'x' is none of its accounts"),
        ("databases/doors/accounts/reader", "r", "databases.doors.accounts.reader: there is no secret 'r'"),
        ("databases/doors/migrations", "sql", "databases.doors.migrations: there is no "),
        ("services/doors/uses/kafka/account", "x", "services.doors.uses.kafka.account: is none of"),
        ("services/doors/uses/hive", {}, "services.doors.uses.hive: unknown key"),
        (
            "services/doors/uses/timescaledb/database",
            "x",
            "uses.timescaledb.database: there is no database 'x'",
        ),
        ("services/doors/uses/timescaledb/account", "x", "uses.timescaledb.account: is no account of that"),
        ("services/doors/program/project", "door", "services.doors.program.project: there is no "),
        ("services/doors/program/settings", ["limits"], "program.settings: 'limits' is not in the file's"),
        ("services/doors/program/secrets", [], "services.doors.program.secrets: must be a mapping"),
        ("services/doors/program/secrets", {"key": "k"}, "program.secrets.key: there is no secret 'k'"),
        ("services/doors/program/secrets", {"side": "kafka_doors"}, "program.secrets.side: stands in"),
        ("status/database", "x", "status.database: there is no database 'x'"),
        ("status/metrics/0/service", "x", "status.metrics[0].service: there is no service 'x'"),
        ("status/metrics/0/label", "open", "status: two figures have the label 'open'"),
        ("status/flowing", "x", "status.flowing: must be one of open, not 'x'"),
        ("commands/Count", DOORS["commands"]["count"], "commands.Count: a command's name is lower-case"),
        ("commands/count/service", "x", "commands.count.service: must be one of doors, not 'x'"),
        ("commands/count/options/--a", "a b", "commands.count.options.--a: must be a variable"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(services: Path, keys: str, value: object, problem: str) -> None:
    _, problems = read(services, changed(keys, value))
    assert len(problems) == 1
    assert problem in problems[0]


def test_every_mistake_of_every_file_is_told_at_once(services: Path) -> None:
    for name in ("doors", "other"):
        (services / name).mkdir(exist_ok=True)
        (services / name / "application.yml").write_text("services: {}\nport: 1\nkafka: []\n")
    with pytest.raises(InvalidInputError) as caught:
        load_applications(services)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        f"services/{name}/application.yml" for name in ("doors", "doors", "other", "other")
    ]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value below the top of nested mappings and lists."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@given(st.sampled_from(places(DOORS)), json)
def test_whatever_stands_anywhere_reading_ends_with_problems_and_never_otherwise(
    path: tuple[Any, ...], value: object
) -> None:
    data = copy.deepcopy(DOORS)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    _, problems = read(paths.repo_root() / "services", data)
    # There is no project of the doors in the tree: one problem there is always.
    assert problems


@pytest.mark.parametrize(
    ("uses", "granted"),
    [
        ({}, {}),
        ({"kafka": {"account": "doors"}}, {"kafka.client"}),
        ({"timescaledb": {"database": "doors", "account": "doors_owner"}}, {"db.sql"}),
        (DOORS["services"]["doors"]["uses"], {"kafka.client", "db.sql"}),
    ],
)
def test_a_group_reaches_what_its_service_uses_and_nothing_else(
    services: Path, uses: dict[str, Any], granted: set[str]
) -> None:
    before = copy.deepcopy(PLATFORM)
    application, _ = read(services, changed("services/doors/uses", uses))
    catalogue = parse_catalogue(join(PLATFORM, {"doors": application}))
    reached = {
        f"{service.name}.{port.name}"
        for service in catalogue.services.values()
        for port in service.ports.values()
        if "generators" in port.sources
    }
    assert reached == set(granted)
    assert catalogue.services["kafka"].ports["client"].sources[0] == "db"
    assert list(catalogue.services) == ["kafka", "db", "doors"]
    assert before == PLATFORM, "what was given stays as it is"


@pytest.mark.parametrize("platform", [None, [], {}, {"services": 1}, {"services": {"a": 1}, "clients": 1}])
def test_a_faulty_catalogue_is_left_for_its_own_reader(services: Path, platform: object) -> None:
    application, _ = read(services, DOORS)
    with pytest.raises(InvalidInputError):
        parse_catalogue(join(platform, {"doors": application}))


_NUMBERS = itertools.count()


def named(kind: str, name: str) -> Application:
    """Return another application that declares this one name and nothing else."""
    given: dict[str, dict[str, Any]] = {
        "service": {"services": {name: {}}},
        "secret": {"secrets": {name: None}},
        "topic": {"topics": (Topic(name),)},
        "Kafka account": {"accounts": {name: "s"}},
        "database": {"databases": {name: load_database({})}},
        "database account": {"databases": {f"another {next(_NUMBERS)}": load_database({name: "s"})}},
        "HDFS directory": {"directories": (Directory(name),)},
        "command": {"commands": {name: None}},
    }
    return Application("other", paths.repo_root(), **given[kind])


def load_database(accounts: dict[str, str]) -> Any:  # noqa: ANN401 - a part of one
    reader = Reader()
    data = {"databases": {"x": {"owner": "", "accounts": accounts}}, "services": {}}
    return read_application(paths.repo_root() / "services" / "x", data, reader).databases["x"]


OWNED = [
    ("service", "doors"),
    ("secret", "kafka_doors"),
    ("topic", "doors.opened"),
    ("Kafka account", "doors"),
    ("database", "doors"),
    ("database account", "doors_owner"),
    ("HDFS directory", "/doors"),
    ("command", "count"),
]


@pytest.mark.parametrize(("kind", "name"), OWNED)
def test_a_name_that_two_applications_declare_is_told_with_both(services: Path, kind: str, name: str) -> None:
    application, _ = read(services, DOORS)
    first, second = "services/doors/application.yml", "services/other/application.yml"
    told = collisions(PLATFORM, {}, {"doors": application, "other": named(kind, name)})
    assert told == [f"{first} and {second} both declare the {kind} {name!r}; rename it in one of them"]
    assert collisions(PLATFORM, {}, {"doors": application, "other": named(kind, f"{name}2")}) == []


def test_a_name_that_stands_twice_in_one_file_is_told_so() -> None:
    twice = Application("other", paths.repo_root(), topics=(Topic("a"), Topic("b"), Topic("a")))
    assert collisions(PLATFORM, {}, {"other": twice}) == [
        "services/other/application.yml: the topic 'a' is declared twice in this file; keep one"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("service", "kafka", "ansible/catalogue.yml"),
        ("service", "postgresql@17-main", "ansible/catalogue.yml"),
        ("Kafka account", "admin", "ansible/catalogue.yml"),
        ("Kafka account", "tests", "ansible/catalogue.yml"),
        ("secret", "pki", "ansible/secrets.yml"),
        ("command", "up", "the Makefile or a file beside it"),
    ],
)
def test_a_name_of_the_platform_is_told_with_its_file(kind: str, name: str, owner: str) -> None:
    told = collisions(PLATFORM, {"pki": None}, {"other": named(kind, name)}, ["up"])
    what = f"the {kind} {name!r} is already declared by {owner}; choose another name"
    assert told == [f"services/other/application.yml: {what}"]


@given(st.lists(st.sampled_from(OWNED), unique=True))
def test_a_problem_for_each_name_that_is_taken_and_for_no_other(taken: list[tuple[str, str]]) -> None:
    others = {str(index): named(*one) for index, one in enumerate(taken)}
    assert collisions(PLATFORM, {}, others) == []
    twice = others | {f"{index} again": named(*one) for index, one in enumerate(taken)}
    assert len(collisions(PLATFORM, {}, twice)) == len(taken)


def drivers(*cores: int | None) -> list[Program]:
    return [
        Program(f"driver-{index}", "x", "g", (paths.repo_root(),), "e", cores_max=number)
        for index, number in enumerate(cores)
    ]


@given(st.lists(st.none() | st.integers(0, 5), max_size=5), st.integers(0, 4), st.integers(1, 4))
def test_drivers_fit_exactly_when_their_slots_are_no_more_than_the_workers(
    taken: list[int | None], workers: int, cores: int
) -> None:
    problems = slot_problems(drivers(*taken), workers, cores)
    assert bool(problems) is (sum(number or 0 for number in taken) > workers * cores)


def test_slots_are_told_by_driver() -> None:
    (problem,) = slot_problems(drivers(3, None, 0, 2), 2, 2)
    assert "the drivers take 5 slots (driver-0 3, driver-3 2), but 2 workers offer 4;" in problem


def inventory(tmp_path: Path, **files: object) -> Path:
    """Make an environment's folder with these files of variables."""
    for name, content in files.items():
        path = tmp_path / "group_vars" / f"{name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return tmp_path


def test_the_workers_slots_are_those_that_the_environment_sets(tmp_path: Path) -> None:
    assert variables.worker_cores(tmp_path) == 2, "the role's default"
    inventory(tmp_path, all={"spark_worker_cores": 1}, kafka={"a": 1}, empty=None)
    assert variables.worker_cores(tmp_path) == 1
    inventory(tmp_path, spark_workers={"spark_worker_cores": 4})
    assert variables.worker_cores(tmp_path) == 4
    inventory(tmp_path, kafka={"spark_worker_cores": "{{ millrace_cores }}"})
    assert variables.worker_cores(tmp_path) is None


def test_an_environment_with_too_few_slots_is_refused(tmp_path: Path) -> None:
    lab = validation.named_environment("lab")
    assert variables.setting_problems(lab, tmp_path) == []
    (problem,) = variables.setting_problems(lab, inventory(tmp_path, all={"spark_worker_cores": 1}))
    assert "(sensors-job 3, sensors-lake 1, sensors-profile 1), but 3 workers offer 3;" in problem


def refused(services: Path, data: dict[str, Any]) -> str:
    """Return what is told of a small clone in which the doors declare this, with the lab's topology."""
    root = services.parent
    (root / "ansible").mkdir()
    (root / "docs").mkdir()
    (root / "Makefile").write_text(".PHONY: up deploy\nup deploy:\n")
    (root / "ansible" / "catalogue.yml").write_text(yaml.safe_dump(PLATFORM))
    (root / "ansible" / "secrets.yml").write_text("secrets: {}\n")
    (services / "doors" / "application.yml").write_text(yaml.safe_dump(data))
    with pytest.raises(InvalidInputError) as caught:
        validation.load_environment(paths.repo_root() / "inventories" / "lab" / "topology.yml", root)
    return str(caught.value)


@pytest.mark.parametrize("name", ["deploy", "docs"])
def test_a_command_that_make_would_not_hand_on_is_refused(services: Path, name: str) -> None:
    data = copy.deepcopy(DOORS)
    data["commands"][name] = data["commands"].pop("count")
    assert f"the command {name!r} is already declared by the Makefile" in refused(services, data)


def test_a_kafka_account_that_is_called_as_a_node_is_refused(services: Path) -> None:
    data = copy.deepcopy(DOORS)
    data["kafka"]["accounts"]["kafka-1"] = "kafka_doors"
    assert "services/doors/application.yml: kafka.accounts.kafka-1: a node of the topology" in refused(
        services, data
    )
