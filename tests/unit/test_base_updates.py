"""Role base's apt sources and unattended upgrades: what a node is given, and what is never upgraded."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from rendering import FACTS, ROOT, load

from millrace.providers import debian_image

ROLE = ROOT / "roles" / "base"
LAB = "'http://mirror.example/debian/dists/trixie/InRelease' mirror.example_debian_dists_trixie_InRelease 0 "
# With lists from before, apt-get names their parts as well.
PART = "'http://mirror.example/debian/dists/trixie/main/binary-amd64/Packages.xz' mirror.example_Packages 0 "
CLOUD_URI = "mirror+file:/etc/apt/mirrors/debian.list"
CLOUD = """\
'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie/InRelease' a_InRelease 0
'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie-updates/InRelease' b_InRelease 0
'mirror+file:/etc/apt/mirrors/debian-security.list/dists/trixie-security/InRelease' c_InRelease 0
"""
OURS = {"uri": "http://security.example", "suite": "trixie-security"}
UPDATES = {"uri": "http://mirror.example/debian", "suite": "trixie-updates"}


def rendered(text: str, **more: Any) -> Any:  # noqa: ANN401 - whatever it makes
    """Render a template with the role's variables."""
    variables = {
        **load(ROLE / "defaults" / "main.yml"),
        **load(ROLE / "vars" / "main.yml"),
        "ansible_managed": "written by a test",
        "ansible_facts": FACTS | {"virtualization_role": "host", "distribution_release": "trixie"},
        **more,
    }
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


@pytest.mark.parametrize(
    ("uris", "archive", "missing"),
    [
        (f"{LAB}\n{PART}\n", OURS["uri"], [UPDATES, OURS]),
        (LAB, "", [UPDATES]),
        (LAB.replace("/trixie/", "/stable/"), OURS["uri"], [UPDATES, OURS]),
        (CLOUD, OURS["uri"], []),
        (CLOUD.replace("trixie-", "stable-"), OURS["uri"], []),
        (CLOUD.splitlines()[0], OURS["uri"], [{**UPDATES, "uri": CLOUD_URI}, OURS]),
        ("", OURS["uri"], [OURS]),
    ],
)
def test_what_a_node_lacks_is_added(uris: str, archive: str, missing: list[dict[str, str]]) -> None:
    found = rendered(
        "{{ __base_suites_missing }}", __base_uris={"stdout": uris}, base_security_archive=archive
    )
    assert found == missing


def test_what_is_upgraded_by_hand_is_in_the_list() -> None:
    text = (ROLE / "templates" / "upgrades.conf.j2").read_text(encoding="utf-8")
    written = rendered(text, base_upgrades_by_hand=["openjdk-", "postgresql"], base_unattended_upgrades=False)
    assert 'Package-Blacklist {\n  "openjdk-";\n  "postgresql";\n};' in written
    assert 'Unattended-Upgrade "0";' in written
    assert 'Unattended-Upgrade "1";' in rendered(text)


def test_a_node_has_the_packages_of_the_image() -> None:
    assert load(ROLE / "defaults" / "main.yml")["base_packages"] == list(debian_image.PACKAGES)
