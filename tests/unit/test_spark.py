"""What the role spark's files say together: versions, locks, and what its settings must never lose."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import yaml

from millrace import paths

ROLE = paths.repo_root() / "roles" / "spark"
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def read(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((paths.repo_root() / path).read_text(encoding="utf-8"))
    return loaded


def jars() -> dict[str, ET.Element]:
    root = ET.parse(ROLE / "files" / "pom.xml").getroot()  # noqa: S314 - our own file
    found = root.findall("m:dependencies/m:dependency", NAMESPACE)
    return {dependency.findtext("m:artifactId", "", NAMESPACE): dependency for dependency in found}


def test_each_jar_comes_alone_and_is_locked() -> None:
    locked = (ROLE / "files" / "jars.lock").read_text(encoding="utf-8").split()[1::2]
    # Without what they depend on: as many as are named, and test_versions holds each against its version.
    assert len(locked) == len(jars())
    for name, jar in jars().items():
        assert [part.text for part in jar.findall("m:exclusions/m:exclusion/*", NAMESPACE)] == ["*", "*"], (
            name
        )


def test_drivers_have_what_executors_have_in_the_same_version() -> None:
    executors, drivers = (
        set(re.findall(r"^[\w-]+==\S+", (ROLE / "files" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("executors.lock", "drivers.lock")
    )
    assert executors < drivers
    assert not any(package.startswith("pandas") for package in executors)


def test_connections_are_authenticated_and_encrypted_and_nothing_else_submits() -> None:
    common = read("roles/spark/vars/main.yml")["__spark_config_common"]
    wanted = {
        "spark.authenticate": True,
        "spark.network.crypto.enabled": True,
        "spark.io.encryption.enabled": True,
    }
    wanted |= {"spark.master.rest.enabled": False, "spark.ui.killEnabled": False}
    assert wanted.items() <= common.items()
