"""What an environment's own variables may be, and how their mistakes are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.model.validation import Environment, load_environment
from millrace.model.variables import setting_problems, worker_cores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def lab() -> Environment:
    """Read the lab once: its groups, nodes and applications count for every file here."""
    return load_environment(paths.repo_root() / "inventories" / "lab" / "topology.yml")


def told(lab: Environment, folder: Path, file: str, text: str) -> list[str]:
    """Write a file of variables and return what is said of it, without the folder before it."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [line.replace(f"{folder}/", "") for line in setting_problems(lab, folder)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka_heep: 1g", "kafka_heep: nothing reads this variable; the nearest is 'kafka_heap'"),
        (
            "sensors_job_confg: {}",
            "sensors_job_confg: nothing reads this variable; the nearest is 'sensors_job_",
        ),
        ("qqqqqqqq: 1", "qqqqqqqq: nothing reads this variable; remove it (one of your own: local_qqqqqqqq)"),
        ("millrace_domain: x", "millrace_domain: the inventory computes this variable; remove it"),
        ("my-name: 1", "my-name: a variable's name must be letters, digits and underscores"),
        ("3: 1", "3: a variable's name must be letters"),
        ('kafka_health_timeout: "3"', "kafka_health_timeout: must be a whole number without quotes, not '3'"),
        (
            "kafka_health_timeout: true",
            "kafka_health_timeout: must be a whole number without quotes, not True",
        ),
        ("kafka_health_timeout: [3]", "kafka_health_timeout: must be a whole number without quotes, not [3]"),
        ("kafka_health_timeout:", "kafka_health_timeout: must be a whole number without quotes, not empty"),
        ("kafka_heap: 160", "kafka_heap: must be text (in quotes), not 160"),
        ("kafka_log_level: LOUD", "kafka_log_level: must be one of ERROR, WARN, INFO, DEBUG, not 'LOUD'"),
        ("kafka_super_users: admin", "kafka_super_users: must be a list, not 'admin'"),
        ("kafka_super_users: [1]", "kafka_super_users[0]: must be text (in quotes), not 1"),
        ("kafka_extra_config: []", "kafka_extra_config: must be a mapping, not []"),
        ("kafka_users: [{name: a}]", "kafka_users[0].password: is missing"),
        (
            "kafka_topics: [{name: a, partitions: 1, x: 2}]",
            "kafka_topics[0].x: unknown key; known here: allow",
        ),
        ("platform_tls_ca: 3", "platform_tls_ca: must be text (in quotes), not 3"),
        ("sensors_job_config: 3", "sensors_job_config: must be a mapping, not 3"),
        ("sensors_settings: x", "sensors_settings: must be a mapping, not 'x'"),
        ("[a, b]", "must be a mapping of variables (name: value), not ['a', 'b']"),
        ("a: [", "not valid YAML: "),
        ("a: \0", "not valid YAML: unacceptable character #x0000"),
    ],
)
@pytest.mark.parametrize("file", ["group_vars/all.yml", "group_vars/kafka/x.yaml", "host_vars/db-1.json"])
def test_a_mistake_is_one_line(lab: Environment, tmp_path: Path, file: str, text: str, said: str) -> None:
    if "YAML" in said:
        with pytest.raises(Exception, match=f"{file}: {said}") as caught:
            told(lab, tmp_path, file, text)
        assert "\n" not in str(caught.value)
        return
    (line,) = told(lab, tmp_path, file, text)
    assert line.startswith(f"{file}: {said}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "local_site: {anything: [1]}\nansible_python_interpreter: /usr/bin/python3\n",
        'kafka_health_timeout: "{{ local_patience }}"\nlocal_patience: 3\n',
        "kafka_heap: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n",
        "local_text: !unsafe '{{ no template }}'\n",
        "$ANSIBLE_VAULT;1.1;AES256\n3132\n",
        "local_a: &a {x: 1}\nlocal_b: {<<: *a, y: 2}\n",
        "sensors_job_schedule: hourly\nsensors_job_config: {}\nsensors_settings: {}\n",
    ],
)
def test_what_ansible_reads_is_read(lab: Environment, tmp_path: Path, text: str) -> None:
    assert told(lab, tmp_path, "group_vars/all.yml", text) == []


@pytest.mark.parametrize(
    ("file", "right"),
    [
        (
            "group_vars/kafak.yml",
            "group 'kafak'; the nearest is 'kafka'",
        ),
        ("group_vars/kafak/a.yml", "group 'kafak'; the nearest is 'kafka'"),
        ("group_vars/sensors.yaml", "group 'sensors'; "),
        ("host_vars/db-9.yml", "host 'db-9'; the nearest is 'db-1'"),
        ("host_vars/kafka.yml", "host 'kafka'; "),
    ],
)
def test_a_file_is_for_a_group_or_a_node_that_is_there(
    lab: Environment, tmp_path: Path, file: str, right: str
) -> None:
    (line,) = told(lab, tmp_path, file, "local_a: 1\n")
    what, nearest = right.split("; ")
    assert line.startswith(f"{file}: there is no {what}, so nothing reads this file; {nearest}")


@pytest.mark.parametrize(
    "file",
    [
        "group_vars/all.yaml",
        "group_vars/all.json",
        "group_vars/all",
        "group_vars/all/b",
        "host_vars/db-1.yml",
    ],
)
@pytest.mark.parametrize("value", ["9", '"9"'])
def test_copies_are_counted_in_every_file(lab: Environment, tmp_path: Path, file: str, value: str) -> None:
    found = told(lab, tmp_path, file, f'{{"kafka_extra_config": {{"default.replication.factor": {value}}}}}')
    assert len(found) == 1
    assert found[0].startswith(f"{file}: kafka_extra_config.default.replication.factor: 9 is more than the 3")


@pytest.mark.parametrize(("value", "cores"), [("6", 6), ('"6"', None), ("true", None)])
def test_only_a_number_is_a_number_of_slots(tmp_path: Path, value: str, cores: int | None) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yaml").write_text(f"spark_worker_cores: {value}\n")
    assert worker_cores(tmp_path) == cores
