"""The settings that the playbooks give to our Python services are those that the services accept."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rendering

from millrace import paths

if TYPE_CHECKING:
    from collections.abc import Callable

(CONFIG,) = (
    content[2]
    for name, content in rendering.contents().items()
    if name.startswith("python_service/configure")
)
USES = [use for use in rendering.uses() if use.role == "python_service"]


def command(projects: list[str], entry: str) -> Callable[[list[str]], int]:
    """Return the function behind the console script `entry`, which one of the projects declares."""
    scripts: dict[str, str] = {}
    for project in projects:
        text = (Path(project) / "pyproject.toml").read_text(encoding="utf-8")
        scripts |= tomllib.loads(text)["project"].get("scripts", {})
    module, _, function = scripts[entry].partition(":")
    found: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    return found


@pytest.mark.parametrize("env", paths.environments())
def test_each_service_accepts_its_settings(
    env: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = rendering.environment(env)
    checked = set()
    for use in USES:
        for host in environment.inventory.list_hosts(use.hosts):
            name = environment.render(use, host.name, "{{ python_service_name }}", {})
            entry = environment.render(use, host.name, "{{ python_service_entry }}", {})
            projects = environment.render(use, host.name, "{{ python_service_projects | to_json }}", {})
            config = tmp_path / f"{name}.json"
            config.write_text(environment.render(use, host.name, CONFIG, {}), encoding="utf-8")
            status = command(json.loads(projects), entry)(["--config", str(config), "--check"])
            assert status == 0, capsys.readouterr().err
            checked.add(name)
    ours = {"generator", "job", "lake", "lifecycle", "profile", "relay", "replay"}
    # A topology may have a part of them; the lab has them all.
    assert checked >= {f"sensors-{name}" for name in ours} or env != "lab"


def test_secrets_of_its_own_stand_in_its_settings_and_the_environments_win() -> None:
    environment = rendering.environment("lab")
    layers = ((use, layer) for use in USES for layer in use.strong if "__program" in layer)
    use, layer = next(found for found in layers if found[1]["__program"]["name"] == "sensors-relay")
    secrets = {"token": "kafka_sensors_job", "pin": "kafka_sensors_job"}
    program = {**layer["__program"], "config": {"page": "x"}, "secrets": secrets}
    given = {"__program": program, "sensors_relay_config": {"pin": "0000"}}
    config = json.loads(environment.render(use, "apps-1", CONFIG, given))
    assert (config["page"], config["token"], config["pin"]) == ("x", "secret-of-kafka_sensors_job", "0000")


def unit(name: str, kind: str = "service") -> list[str]:
    """Return the lines of the unit, or of the timer, of one of the lab's services."""
    environment = rendering.environment("lab")
    template = (paths.repo_root() / f"roles/python_service/templates/unit.{kind}.j2").read_text(
        encoding="utf-8"
    )
    software = {
        "__spark_job_artifact": {"key": "k" * 8, "projects": ["example"]},
        "__spark_job_software": {"stdout": ""},
    }
    for use in USES:
        if use.hosts != "applications":
            continue
        if environment.render(use, "apps-1", "{{ python_service_name }}", {}) == name:
            return environment.render(use, "apps-1", template, software).splitlines()
    pytest.fail(f"there is no {name}")


def test_what_a_timer_starts_ends_by_itself_and_is_no_part_of_the_boot() -> None:
    daemon = unit("sensors-job")
    for name, user in (("sensors-lake", "sensors-job"), ("sensors-lifecycle", "sensors-lifecycle")):
        scheduled = unit(name)
        assert {"Type=oneshot", "Restart=no", f"User={user}"} <= set(scheduled)
        assert {"[Install]", "RestartSec=2"}.isdisjoint(scheduled)
    assert {"Type=exec", "Restart=always", "[Install]"} <= set(daemon)


def test_a_timer_starts_its_service_when_the_schedule_says_so() -> None:
    for name in ("sensors-lake", "sensors-lifecycle"):
        timer = unit(name, "timer")
        assert {"RandomizedDelaySec=0", "AccuracySec=1s"} <= set(timer)


def test_a_buffer_lies_where_its_service_may_write_and_what_is_there_stays() -> None:
    environment = rendering.environment("lab")
    found = []
    for use in (use for use in USES if use.hosts == "applications"):
        name = environment.render(use, "apps-1", "{{ python_service_name }}", {})
        config = json.loads(environment.render(use, "apps-1", CONFIG, {}))
        if "buffer" in config:
            assert Path(config["buffer"]["path"]).parent == Path("/var/lib") / name
            assert f"StateDirectory={name}" in unit(name)
            found.append(name)
    assert found == ["sensors-generator"]
