"""A folder whose declaration is called almost right would be passed over in silence: it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millrace.model.applications import load_applications
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "name",
    ["application.yaml", "Application.yml", "APPLICATION.YML", "applications.yml", "application.yml.bak"],
)
def test_a_file_that_is_called_almost_right_is_told(services: Path, name: str) -> None:
    (services / "doors" / name).write_text("services: {}\n")
    with pytest.raises(InvalidInputError) as caught:
        load_applications(services)
    right = "is not read; a declaration is called application.yml, so rename it"
    assert caught.value.problems == (f"services/doors/{name}: {right}",)


def test_a_link_that_leads_nowhere_and_a_folder_are_told(services: Path) -> None:
    (services / "doors" / "application.yml").symlink_to("gone.yml")
    (services / "other" / "application.yml").mkdir(parents=True)
    with pytest.raises(InvalidInputError) as caught:
        load_applications(services)
    assert caught.value.problems == (
        "services/doors/application.yml: is a link that leads nowhere; it must be the declaration",
        "services/other/application.yml: is no file; it must be the declaration",
    )


def test_beside_a_declaration_a_copy_of_it_is_no_matter(services: Path) -> None:
    for name in ("application.yml", "application.yml.bak"):
        (services / "doors" / name).write_text("services: {}\n")
    assert list(load_applications(services)) == ["doors"]
