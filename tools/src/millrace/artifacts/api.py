"""What callers in the tool environment use of artefacts."""

from millrace.artifacts.golang import GoRecipe
from millrace.artifacts.jvm import JvmRecipe, lock_jars
from millrace.artifacts.model import Artifact, ArtifactError, Recipe
from millrace.artifacts.pins import local_dependencies, project_name, projects, python_version, versions
from millrace.artifacts.pyspark import PysparkRecipe
from millrace.artifacts.sdist import SdistRecipe
from millrace.artifacts.store import obtain
from millrace.artifacts.wheelhouse import WheelhouseRecipe, lock_wheels

__all__ = [
    "Artifact",
    "ArtifactError",
    "GoRecipe",
    "JvmRecipe",
    "PysparkRecipe",
    "Recipe",
    "SdistRecipe",
    "WheelhouseRecipe",
    "local_dependencies",
    "lock_jars",
    "lock_wheels",
    "obtain",
    "project_name",
    "projects",
    "python_version",
    "versions",
]
