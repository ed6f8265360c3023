"""Every template of every role is rendered for every environment and host that runs it, and parsed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import rendering
import yaml

from millrace import paths

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENTS = paths.environments()
CONTENTS = rendering.contents()
TEMPLATES = {str(path.relative_to(rendering.ROOT / "roles")): path for path in rendering.templates()}

WHEELS = {"path": "/cache/wheels", "key": "0" * 12, "projects": ["example"]}
# Of role python_service; the Spark job is such a service too, and passes on what it has learned.
SERVICE = {
    "__python_service_artifact": WHEELS,
    "__spark_job_artifact": WHEELS,
    "__spark_job_software": {"rc": 0, "stdout": "4.1.3-00000000\nvenv-0000000000000000"},
}

# Secrets of accounts that may do everything: they stay with the operator. PostgreSQL's has no password.
SUPERUSERS = ("kafka_admin",)

# Variables that tasks give beyond defaults, vars and inventory (loops, registered results, set_fact): for a
# role, or for one template or task. Each is rendered once with each of the list.
REGISTERED: dict[str, list[dict[str, Any]]] = {
    "base": [{"__base_kernel": {"results": [{"item": "net.core.somaxconn", "stat": {"exists": True}}]}}],
    "base/sources.yml: Add the suites that are missing": [
        {"item": {"uri": "http://mirror.example/debian", "suite": "trixie-updates"}}
    ],
    "jvm_app": [{"__jvm_app_artifact": {"path": "/cache/kafka.tar", "sha256": "0" * 64, "key": "0" * 12}}],
    "kafka": [{"__kafka_wheels": WHEELS}],
    "python_service": [SERVICE],
    "python_service/templates/command.j2": [SERVICE | {"item": "sensors-history"}],
    "hdfs/templates/site.xml.j2": [
        {"item": name} for name in ("core-site.xml", "hdfs-site.xml", "hadoop-policy.xml")
    ],
    "timescaledb": [{"__timescaledb_edition": edition} for edition in ("apache", "community")],
    "pki/issue.yml: Write the certificates": [{"item": {"content": "certificate\n"}}],
    "spark/job.yml: Write the job's Spark settings": [{"__spark_job_artifact": WHEELS}],
    "spark/templates/daemon.service.j2": [{"item": daemon} for daemon in ("master", "worker", "history")],
}


def parse_properties(text: str) -> None:
    keys = [line.partition("=")[0] for line in text.splitlines() if line.strip() and line[0] not in "#!"]
    assert keys
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+ ?", key) for key in keys), keys
    assert len(set(keys)) == len(keys), "a key stands there twice"


def parse_unit(text: str) -> None:
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("["):
            section = line
            assert re.fullmatch(r"\[[A-Z][A-Za-z]+\]", line), line
        elif line.strip() and line[0] not in "#;":
            assert section, f"before the first section: {line}"
            assert re.match(r"[A-Z][A-Za-z0-9]*=", line), line


def parse_hadoop(text: str) -> None:
    configuration = ET.fromstring(text)  # noqa: S314 - our own text
    assert configuration.tag == "configuration"
    assert list(configuration)
    for setting in configuration:
        assert [(part.tag, bool(part.text)) for part in setting] == [("name", True), ("value", True)]


def parse_shell(text: str) -> None:
    done = subprocess.run(["/bin/sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


PARSERS: list[tuple[str, Callable[[str], object]]] = [
    (r"\.properties$|/conf\.d/.*\.conf$|/defaults\.d/.*\.conf$", parse_properties),
    (r"\.json$|config_file", json.loads),
    (r"\.ya?ml$", yaml.safe_load),
    (r"\.xml$", parse_hadoop),
    (r"\.service$|\.timer$|journald\.conf$|unit\.conf$", parse_unit),
    (r"\.py$", ast.parse),
    (r"\.sh$|-cli$", parse_shell),
]


def parse(name: str, text: str) -> None:
    """Parse a rendered file by its name, and refuse what no rendered file should have."""
    for sign in ("{{", "{%", "Undefined", "AnsibleUndefined"):
        assert sign not in text, f"{sign} is left in it"
    assert not text.strip() or text.endswith("\n"), "no newline at its end"
    for pattern, parser in PARSERS:
        if re.search(pattern, name):
            parser(text)


def render_everywhere(env: str, uses: list[rendering.Use], name: str, text: str, target: str) -> None:
    """Render one template for each host of each use, and parse the results."""
    environment = rendering.environment(env)
    assert uses, "no play of site.yml leads to it"
    for use in uses:
        hosts = [host.name for host in environment.inventory.list_hosts(use.hosts)]
        # A topology may have a part of the platform; the lab has all of it.
        assert hosts or env != "lab", f"no host of {env} is in {use.hosts}"
        for host in hosts:
            for extra in REGISTERED.get(name, REGISTERED.get(use.role, [{}])):
                written = environment.render(use, host, text, extra)
                parse(target, written)
                assert not any(f"secret-of-{name}" in written for name in SUPERUSERS), (
                    "a superuser's password"
                )


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_template(name: str, env: str) -> None:
    path = TEMPLATES[name]
    role = name.partition("/")[0]
    uses = [use for use in rendering.uses() if use.role == role and use.writes(path.stem)]
    render_everywhere(env, uses, name, path.read_text(encoding="utf-8"), name.removesuffix(".j2"))


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("name", CONTENTS)
def test_content_of_a_task(name: str, env: str) -> None:
    tasks, target, text = CONTENTS[name]
    render_everywhere(env, [use for use in rendering.uses() if tasks in use.files], name, text, target)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.properties", "a=1\na=2\n"),
        ("a.properties", "a b c\n"),
        ("a.json", "{a}\n"),
        ("a.yml", "a: [\n"),
        ("a.service", "After=x\n"),
        ("a.service", "[Unit]\nnonsense\n"),
        ("a.py", "def\n"),
        ("a.sh", "if\n"),
        ("a.xml", "<configuration>\n"),
        ("a.xml", "<configuration/>\n"),
        ("a.xml", "<configuration><property><name>a</name><value/></property></configuration>\n"),
        ("a", "{{ left }}\n"),
        ("a", "no newline"),
    ],
)
def test_a_broken_file_is_noticed(name: str, text: str) -> None:
    with pytest.raises((AssertionError, ValueError, SyntaxError, yaml.YAMLError)):
        parse(name, text)
