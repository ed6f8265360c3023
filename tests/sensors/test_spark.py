"""The lake and the batches on a real Spark with a real Iceberg, put together as the nodes' Spark is.

What a lab would lose for it is tried here, on directories: ledgers, metadata, snapshots, a second appender.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import nested
import pytest

from millrace import paths
from millrace.artifacts import api as artifacts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.apart]

TESTS = [f"{nested.JOB_TESTS}/test_{name}_spark.py" for name in ("lake", "batch", "plans")]


def _spark(home: Path) -> None:
    """Put Spark together as the role does; a deploy has left its archives in the cache."""
    root = paths.repo_root()
    versions, files = artifacts.versions(), root / "roles" / "spark" / "files"
    recipes = (
        artifacts.PysparkRecipe(versions["pyspark"], versions["pyspark_sha256"], "pyspark"),
        artifacts.JvmRecipe("spark-jars", files / "pom.xml", files / "jars.lock"),
    )
    for recipe in recipes:
        with tarfile.open(artifacts.obtain(recipe, paths.cache_dir() / "artifacts").path) as archive:
            archive.extractall(home, filter="data")
    for jar in (home / "libs").iterdir():
        jar.rename(home / "jars" / jar.name)


def test_the_lake_and_the_batches_on_a_real_spark(tmp_path: Path) -> None:
    _spark(tmp_path)
    (py4j,) = (tmp_path / "python" / "lib").glob("py4j-*.zip")
    libraries = [os.environ.get("PYTHONPATH", ""), str(tmp_path / "python"), str(py4j)]
    environment = {"SPARK_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, libraries))}
    nested.passes(TESTS, environment)
