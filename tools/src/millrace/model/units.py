"""A service's unit and group: the roles call the unit by the service; a schedule makes it a timer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.model.names import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.yamlio import Reader


def check_unit(reader: Reader, name: str, entry: Mapping[str, object], *, scheduled: bool) -> None:
    """Note where unit and group can't be what they say; that they are texts is told with the catalogue."""
    where = f"services.{name}"
    unit, group = entry.get("unit"), entry.get("group")
    right = f"{name}.timer" if scheduled else f"{name}.service"
    if isinstance(unit, str) and unit and unit != right:
        has = "has a schedule" if scheduled else "has no schedule"
        reader.add(f"{where}.unit", f"must be {right}, since the program {has}, not {unit!r}")
    if isinstance(group, str) and group and (problem := GROUP.problem(group)):
        reader.add(f"{where}.group", problem)
