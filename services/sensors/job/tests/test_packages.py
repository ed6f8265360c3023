"""The job's packages import one another in one direction, and what runs on executors needs little."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
ROOT = "sensors_job"
# package -> the packages that it may import; all may import the modules at the top that are listed last.
MAY_IMPORT = {
    "judge": set[str](),
    "store": {"judge"},
    "lake": {"judge"},
    "lifecycle": {"lake"},
    "batch": {"lake"},
}
GROUND = {"checkpoint", "config", "kafka_source"}
# What the executors have beside Python itself.
ON_EXECUTORS = {"psycopg2", "pyarrow"}
FIRST_ON_EXECUTORS = f"{ROOT}.store.sink"


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports when it is loaded; those for types alone are left out."""
    found: set[str] = set()
    todo: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            todo += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            todo += node.body
    return found - {"__future__"}


def named(path: Path) -> str:
    """Return a file's module name."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {named(path): path for path in (SOURCE / ROOT).rglob("*.py")}
IMPORTS = {name: imported(path) for name, path in MODULES.items()}


def package(module: str) -> str:
    """Return the package below the root that a module is in, or its own name if it is at the top."""
    return module.split(".")[1] if module.count(".") else ""


def test_packages_import_one_another_in_one_direction() -> None:
    for module, imports in IMPORTS.items():
        own = package(module)
        if own not in MAY_IMPORT:
            continue
        ours = {package(name) for name in imports if name.startswith(f"{ROOT}.")} - {own}
        assert ours <= MAY_IMPORT[own] | GROUND, module


def test_a_package_is_loaded_without_its_modules() -> None:
    # Executors load packages for one module of them.
    for name in (ROOT, *(f"{ROOT}.{name}" for name in MAY_IMPORT)):
        assert IMPORTS[name] == set(), name


def test_what_runs_on_executors_needs_only_what_they_have() -> None:
    reached: set[str] = set()
    todo = [FIRST_ON_EXECUTORS]
    while todo:
        module = todo.pop()
        if module in reached:
            continue
        reached.add(module)
        for name in IMPORTS[module]:
            if name in MODULES:
                todo.append(name)
            else:
                top = name.partition(".")[0]
                assert top in ON_EXECUTORS or top in sys.stdlib_module_names, f"{module} imports {name}"
    assert f"{ROOT}.judge.fast_path" in reached
