"""docs/adding-an-application.md, followed: its files in a copy of the repository are all that it takes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from millrace import paths

ROOT = paths.repo_root()
DOCUMENT = ROOT / "docs" / "adding-an-application.md"
# Runs in the copy, with its own tools, plugins and roles: prints what would be deployed in the lab.
LOOK = """
import json
import conftest
conftest.pytest_configure()
import rendering
lab = rendering.environment("lab")
template = (rendering.ROOT / "roles/python_service/templates/unit.service.j2").read_text(encoding="utf-8")
wheels = {"__python_service_artifact": {"path": "/cache/wheels", "key": "0" * 12}}
asked = "{{ python_service_name }}"
(use,) = [
    use
    for use in rendering.uses()
    if use.role == "python_service" and lab.render(use, "apps-1", asked, {}) == "hello-greeter"
]
value = lambda host, name: json.loads(lab.render(use, host, "{{ %s | to_json }}" % name, {}))
print(json.dumps({
    "topics": value("kafka-1", "kafka_topics"),
    "users": value("kafka-1", "kafka_users"),
    "acls": value("kafka-1", "kafka_acls"),
    "databases": value("db-1", "timescaledb_databases"),
    "accounts": value("db-1", "timescaledb_users"),
    "flows": value("apps-1", "firewall_flows"),
    "config": value("apps-1", "python_service_config"),
    "projects": value("apps-1", "python_service_projects"),
    "unit": lab.render(use, "apps-1", template, wheels),
}))
"""


def files() -> dict[str, str]:
    """Return the files of the document: path -> text."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return dict(re.findall(r"^`(services/\S+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def run(copy: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, with the copy's tools before those of this clone."""
    places = [copy / "tools/src", copy / "tests/unit", *copy.glob("services/*/*/src")]
    return subprocess.run(  # noqa: S603 - this Python, our own script
        [sys.executable, *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, places)), **more},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with the document's application in it."""
    target = tmp_path_factory.mktemp("third") / "millrace"
    for name in ("ansible", "inventories", "roles", "services", "tests/unit", "tools"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("ansible.cfg", "Makefile"):
        shutil.copy(ROOT / name, target)
    for path, text in files().items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, encoding="utf-8")
        if path.endswith("pyproject.toml"):
            # `make locks` writes it, which would ask PyPI.
            (target / path).with_name("requirements.lock").write_text("", encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def deployed(copy: Path) -> dict[str, Any]:
    """Return what would be deployed of it in the lab."""
    done = run(copy, "-c", LOOK)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_document_has_all_files() -> None:
    assert {Path(path).name for path in files()} == {
        "application.yml",
        "0001_greetings.sql",
        "pyproject.toml",
        "__init__.py",
    }


def test_its_topic_account_and_acl_are_deployed(deployed: dict[str, Any]) -> None:
    assert "hello.greetings" in [topic["name"] for topic in deployed["topics"]]
    assert {"name": "hello-greeter", "password": "secret-of-kafka_hello"} in deployed["users"]
    assert {
        "user": "hello-greeter",
        "name": "hello.greetings",
        "operations": ["DESCRIBE", "WRITE"],
    } in deployed["acls"]


def test_its_database_is_deployed(copy: Path, deployed: dict[str, Any]) -> None:
    (database,) = [one for one in deployed["databases"] if one["name"] == "hello"]
    assert database["owner"] == "hello_owner"
    assert database["accounts"] == ["hello_greeter"]
    assert database["migrations"] == str(copy / "services/hello/migrations")
    assert {"name": "hello_greeter", "password": "secret-of-postgres_hello_greeter"} in deployed["accounts"]


def test_the_firewall_opens_its_port(deployed: dict[str, Any]) -> None:
    (flow,) = [flow for flow in deployed["flows"] if flow["names"] == ["hello-greeter.greetings"]]
    assert flow["port"] == "9502"


def test_its_unit_and_settings_are_deployed(copy: Path, deployed: dict[str, Any]) -> None:
    assert "ExecStart=/opt/millrace/hello-greeter/venv/bin/hello-greeter --config" in deployed["unit"]
    assert "MemoryMax=128M" in deployed["unit"]
    config = deployed["config"]
    assert config.keys() == {"http", "kafka", "postgres", "word", "topic"}
    assert config["kafka"]["password"] == "secret-of-kafka_hello"  # noqa: S105 - what rendering puts for it
    assert config["postgres"]["database"] == "hello"
    assert [Path(project).name for project in deployed["projects"]] == ["common", "greeter"]
    assert deployed["projects"][1] == str(copy / "services/hello/greeter")


def test_the_program_accepts_its_settings(copy: Path, deployed: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(deployed["config"]), encoding="utf-8")
    script = "import hello_greeter, sys; sys.exit(hello_greeter.main())"
    done = run(copy, "-c", script, "--config", str(config), "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_validate_reads_it_and_the_other_applications_are_as_before(copy: Path, tmp_path: Path) -> None:
    done = run(copy, "-m", "millrace.cli", "validate", XDG_STATE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_it_shares_with_another_is_told_with_both_names(copy: Path, tmp_path: Path) -> None:
    other = copy / "services" / "copycat"
    shutil.copytree(copy / "services" / "hello", other)
    done = run(copy, "-m", "millrace.cli", "validate", XDG_STATE_HOME=str(tmp_path))
    shutil.rmtree(other)
    assert done.returncode == 1
    for kind, name in (
        ("topic", "hello.greetings"),
        ("Kafka account", "hello-greeter"),
        ("database", "hello"),
        ("secret", "kafka_hello"),
        ("service", "hello-greeter"),
    ):
        both = "services/copycat/application.yml and services/hello/application.yml both declare"
        assert f"{both} the {kind} {name!r}; rename it in one of them" in done.stderr
