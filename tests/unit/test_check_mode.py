"""`make diff`: nothing is unpacked into a folder that a deploy would make and a check has not made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import rendering

if TYPE_CHECKING:
    from collections.abc import Iterator

_NESTED = ("block", "rescue", "always")


def unpacking(tasks: Any, conditions: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any YAML
    """Return each task that unpacks an archive, with its conditions and those of the blocks around it."""
    for task in tasks or []:
        own = f"{conditions} {task.get('when', '')}"
        if "ansible.builtin.unarchive" in task:
            yield task["name"], own
        for key in _NESTED:
            yield from unpacking(task.get(key), own)


FOUND = {
    f"{path.parent.parent.name}: {name}": conditions
    for path in sorted((rendering.ROOT / "roles").glob("*/tasks/*.yml"))
    for name, conditions in unpacking(rendering.load(path))
}


@pytest.mark.parametrize("name", FOUND)
def test_nothing_is_unpacked_into_a_folder_that_a_check_has_not_made(name: str) -> None:
    # Ansible refuses a destination that isn't there, also in check mode.
    assert "ansible_check_mode" in FOUND[name]


def test_conditions_of_blocks_count() -> None:
    inner = {"name": "x", "ansible.builtin.unarchive": {}, "when": "b"}
    assert list(unpacking([{"when": "a", "block": [inner]}])) == [("x", " a b")]
    assert FOUND
