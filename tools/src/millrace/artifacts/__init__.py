"""What the controller fetches once, checks, caches and hands to the nodes as one archive each.

A recipe says what an archive is made of; :func:`obtain` gives the archive, from the cache or by fetching.
Nodes need no way out for any of it: the controller uses the ecosystem's own client (mvn, pip) with the
settings that this machine has for it.
"""

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
