#!/usr/bin/python
"""Ansible module: an artefact from the controller's cache, fetched there if needed."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: millrace_artifact
short_description: Fetch, verify and cache an archive on the controller
description:
  - Runs on the controller with the interpreter that runs the playbook, see the example.
  - Gives the path of a tar archive whose checksum was just verified.
  - A damaged cache entry is reported and replaced.
  - In check mode it fetches too, as only the controller's cache changes and what follows needs the archive.
options:
  kind:
    description: What it is made of.
    type: str
    choices: [jvm, wheelhouse, pyspark, sdist]
    required: true
  name:
    description: Name of the artefact.
    type: str
    required: true
  pom:
    description: With O(kind=jvm), path of the pom.xml.
    type: path
  lock:
    description: With O(kind=jvm), path of the file with a line of SHA-256 and name for each jar.
    type: path
  requirements:
    description: With O(kind=wheelhouse), paths of locks with hashes, which together name all that is needed.
    type: list
    elements: path
    default: []
  projects:
    description: With O(kind=wheelhouse), folders of Python projects to build wheels of.
    type: list
    elements: path
    default: []
  python_version:
    description: With O(kind=wheelhouse), the nodes' Python; by default that of ansible/versions.yml.
    type: str
  package:
    description: With O(kind=sdist), the name on PyPI.
    type: str
  files:
    description: With O(kind=sdist), paths of the wanted files below the distribution's first folder.
    type: list
    elements: str
  version:
    description: With O(kind=pyspark) and O(kind=sdist), the version.
    type: str
  sha256:
    description: With O(kind=pyspark) and O(kind=sdist), the checksum of PyPI's source distribution.
    type: str
  cache:
    description: Folder of the cache; by default the user's cache folder for Millrace.
    type: path
author: Millrace (@millrace)
"""

EXAMPLES = r"""
- name: Fetch the jars
  millrace_artifact:
    kind: jvm
    name: kafka
    pom: "{{ role_path }}/files/pom.xml"
    lock: "{{ role_path }}/files/jars.lock"
  delegate_to: localhost
  run_once: true
  become: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    ansible_connection: local
  register: __app_artifact
"""

RETURN = r"""
path:
  description: Path of the archive on the controller.
  type: str
  returned: success
key:
  description: Hash of what it is made from, 16 hexadecimal digits.
  type: str
  returned: success
sha256:
  description: Checksum of the archive.
  type: str
  returned: success
projects:
  description: With O(kind=wheelhouse), the names that the projects have in their pyproject.toml, in order.
  type: list
  elements: str
  returned: success
corrupt:
  description: Whether a damaged cache entry was replaced.
  type: bool
  returned: success
"""

# Ansible wants the documentation above the imports.
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

ARGUMENTS: dict[str, Any] = {
    "kind": {"type": "str", "required": True, "choices": ["jvm", "wheelhouse", "pyspark", "sdist"]},
    "name": {"type": "str", "required": True},
    "pom": {"type": "path"},
    "lock": {"type": "path"},
    "requirements": {"type": "list", "elements": "path", "default": []},
    "projects": {"type": "list", "elements": "path", "default": []},
    "python_version": {"type": "str"},
    "package": {"type": "str"},
    "files": {"type": "list", "elements": "str"},
    "version": {"type": "str"},
    "sha256": {"type": "str"},
    "cache": {"type": "path"},
}
REQUIRED_IF = [
    ("kind", "jvm", ["pom", "lock"]),
    ("kind", "pyspark", ["version", "sha256"]),
    ("kind", "sdist", ["package", "version", "sha256", "files"]),
]


def main() -> None:
    """Turn the arguments into a recipe and obtain it."""
    module = AnsibleModule(ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    try:
        # Imported here so that a run on a node, where the package isn't, ends with advice and no traceback.
        from millrace.artifacts import api as artifacts  # noqa: PLC0415
        from millrace.paths import cache_dir  # noqa: PLC0415
    except ImportError as error:
        module.fail_json(
            msg=f"{error}: millrace_artifact runs on the controller, with delegate_to: localhost and "
            "ansible_python_interpreter: '{{ ansible_playbook_python }}'",
        )
    params = module.params
    recipe: artifacts.Recipe
    if params["kind"] == "jvm":
        recipe = artifacts.JvmRecipe(params["name"], Path(params["pom"]), Path(params["lock"]))
    elif params["kind"] == "pyspark":
        recipe = artifacts.PysparkRecipe(params["version"], params["sha256"], params["name"])
    elif params["kind"] == "sdist":
        keys = ("name", "package", "version", "sha256", "files")
        recipe = artifacts.SdistRecipe(**{key: params[key] for key in keys})
    else:
        requirements = [Path(lock) for lock in params["requirements"]]
        projects = [Path(project) for project in params["projects"]]
        python = params["python_version"] or artifacts.python_version()
        recipe = artifacts.WheelhouseRecipe(params["name"], requirements, projects, python)
    cache = Path(params["cache"]) if params["cache"] else cache_dir() / "artifacts"
    try:
        found = artifacts.obtain(recipe, cache)
    except artifacts.ArtifactError as error:
        module.fail_json(msg=str(error))
    if found.corrupt:
        module.warn(f"the cache's copy of artefact {found.name} was damaged; it was fetched again")
    module.exit_json(
        changed=found.fetched,
        path=str(found.path),
        key=found.key,
        sha256=found.sha256,
        projects=[artifacts.project_name(Path(project)) for project in params["projects"]],
        corrupt=found.corrupt,
    )


if __name__ == "__main__":
    main()
