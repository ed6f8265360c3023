"""Versions stand in ansible/versions.yml alone, and the locks say what they come to."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.artifacts import locks, pins

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
POMS = [pair for pair in locks.pairs(ROOT) if pair[0].suffix == ".xml"]
PACKAGES = [pair for pair in locks.pairs(ROOT) if pair[0].suffix != ".xml"]
MAVEN = {"m": "http://maven.apache.org/POM/4.0.0"}


def name(pair: tuple[Path, Path]) -> str:
    return str(pair[0].relative_to(ROOT))


def test_all_that_is_locked_is_found() -> None:
    found = {str(lock.relative_to(ROOT)) for _, lock in locks.pairs(ROOT)}
    there = [*ROOT.glob("roles/**/*.lock"), *ROOT.glob("services/**/*.lock")]
    # A scenario's own example is no part of the platform.
    assert found == {str(path.relative_to(ROOT)) for path in there if "molecule" not in path.parts}
    assert len(POMS) > 1
    assert len(PACKAGES) > 1


@pytest.mark.parametrize("pair", POMS, ids=name)
def test_a_pom_has_its_versions_from_the_one_file_and_they_are_locked(pair: tuple[Path, Path]) -> None:
    pom, lock = pair
    versions = pins.used_by(pom, pins.maven_versions())
    locked = lock.read_text(encoding="utf-8").split()[1::2]
    root = ET.parse(pom).getroot()  # noqa: S314 - our own file
    for dependency in root.findall("m:dependencies/m:dependency", MAVEN):
        artifact, version = (dependency.findtext(f"m:{tag}", "", MAVEN) for tag in ("artifactId", "version"))
        referred = re.fullmatch(r"\$\{([\w-]+)\.version\}", version)
        assert referred, f"{artifact} has a version of its own: {version}"
        assert f"{artifact}-{versions[referred[1]]}.jar" in locked


@pytest.mark.parametrize("pair", PACKAGES, ids=name)
def test_packages_have_their_versions_from_the_one_file_and_they_are_locked(pair: tuple[Path, Path]) -> None:
    wanted, lock = pair
    locked = re.findall(r"^(\S+)==(\S+) --hash=", lock.read_text(encoding="utf-8"), re.MULTILINE)
    assert pins.requirements(wanted, pins.pypi_versions()).items() <= dict(locked).items()


def test_each_version_is_used() -> None:
    of_poms = {name for pom, _ in POMS for name in pins.used_by(pom, pins.maven_versions())}
    assert of_poms == pins.maven_versions().keys()
    of_packages = {name for path, _ in PACKAGES for name in pins.requirements(path, pins.pypi_versions())}
    assert of_packages == pins.pypi_versions().keys()


def test_the_operators_tools_have_the_libraries_of_the_nodes() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    tools = dict(re.findall(r"^(\S+)==(\S+)$", text, re.MULTILINE))
    common = tools.keys() & pins.pypi_versions().keys()
    assert {"kafka-python", "psycopg2-binary"} <= common
    assert {name: tools[name] for name in common} == {name: pins.pypi_versions()[name] for name in common}


def test_sparks_connector_is_of_sparks_version() -> None:
    versions = pins.versions()
    assert versions["maven"]["spark-kafka-connector"] == versions["pyspark"]
