"""`make dev`: the unit that a debugger can attach to, and what the operator is told to do."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rendering
from test_templates import REGISTERED

from millrace import paths
from millrace.console import MillraceError
from millrace.model.validation import named_environment
from millrace.verbs import dev

if TYPE_CHECKING:
    from collections.abc import Sequence

LAB = named_environment("lab")
ENTRIES = {
    name: program.entry
    for application in LAB.applications.values()
    for name, program in application.programs.items()
}
UNIT = "roles/python_service/templates/unit.service.j2"


def rendered(text: str, *, debug: bool) -> dict[str, str]:
    """Return what a template of python_service becomes in the lab, by the service's name."""
    environment = rendering.environment("lab")
    extra = {**REGISTERED["python_service"][0], "millrace_debug": debug}
    return {
        environment.render(use, host.name, "{{ python_service_name }}", extra): environment.render(
            use, host.name, text, extra
        )
        for use in rendering.uses()
        if use.role == "python_service"
        for host in environment.inventory.list_hosts(use.hosts)
    }


def command(unit: str) -> list[str]:
    """Return the words of a unit's ExecStart."""
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line.partition("=")[2])


@pytest.fixture(scope="module")
def template() -> str:
    return (paths.repo_root() / UNIT).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", dev.ours(LAB))
def test_a_debugged_service_is_the_same_program_below_a_debugger_on_the_loopback(
    name: str, template: str
) -> None:
    plain, debugged = (rendered(template, debug=debug)[name] for debug in (False, True))
    program = command(plain)
    assert program == [
        f"/opt/millrace/{name}/venv/bin/{ENTRIES[name]}",
        "--config",
        f"/etc/millrace/{name}/config.json",
    ]
    port = LAB.catalogue.services[name].ports["debug"].first
    started = [f"/opt/millrace/{name}/venv/bin/python", "-m", "debugpy", "--listen", f"127.0.0.1:{port}"]
    assert command(debugged) == [*started, "--configure-subProcess", "false", *program]
    assert "PYDEVD_DISABLE_FILE_VALIDATION=1" in debugged
    assert "debugpy" not in plain
    assert "PYDEVD" not in plain


def test_every_python_service_of_ours_can_be_debugged() -> None:
    schedules = rendered("{{ python_service_schedule }}", debug=True)
    # A command that a timer starts has ended before anybody could attach.
    daemons = [name for name, schedule in schedules.items() if not schedule]
    assert sorted(daemons) == sorted(name for name, one in LAB.services.items() if "debug" in one["ports"])
    assert set(dev.ours(LAB)) == set(daemons) & LAB.catalogue.services.keys()


def test_the_debugger_is_installed_with_the_service_and_only_then() -> None:
    locks = {
        debug: json.loads(rendered("{{ __python_service_locks | to_json }}", debug=debug)["sensors-relay"])
        for debug in (False, True)
    }
    (own,) = locks[False]
    assert locks[True][0] == own
    (debugger,) = locks[True][1:]
    assert "debugpy==" in Path(debugger).read_text(encoding="utf-8")


def test_what_runs_another_command_gets_the_settings_alone() -> None:
    environment = rendering.environment("lab")
    use = next(use for use in rendering.uses() if use.role == "python_service")
    extra = {**REGISTERED["python_service"][0], "millrace_debug": True}
    given = {"python_service_exec_start": "/bin/other --flag", "python_service_requirements": "/a.lock"}
    asked = ("__python_service_run.ExecStart", "__python_service_locks", "__python_service_config.log_level")
    found = [
        json.loads(environment.render(use, "apps-1", f"{{{{ {name} | to_json }}}}", {**extra, **given}))
        for name in asked
    ]
    assert found == ["/bin/other --flag", ["/a.lock"], "DEBUG"]


def test_the_instructions_are_a_tunnel_and_a_valid_configuration(tmp_path: Path) -> None:
    config = tmp_path / "a state" / "ssh_config"
    argv = dev.tunnel(config, "apps-1", 9402)
    folders = dev.packages(paths.repo_root(), dev.ours(LAB)["sensors-relay"].projects)
    text = dev.instructions(
        "sensors-relay", {"apps-1": argv}, dev.launch("sensors-relay", 9402, folders, "3.13")
    )
    (line,) = [line for line in text.splitlines() if line.startswith("  ssh ")]
    assert shlex.split(line) == argv
    assert argv[argv.index("-F") + 1] == str(config)
    assert argv[argv.index("-L") + 1] == "127.0.0.1:9402:127.0.0.1:9402"
    configuration = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert configuration["connect"] == {"host": "127.0.0.1", "port": 9402}
    assert configuration["justMyCode"] is False
    places = {place["localRoot"]: place["remoteRoot"] for place in configuration["pathMappings"]}
    installed = "/opt/millrace/sensors-relay/venv/lib/python3.13/site-packages"
    assert places == {
        "${workspaceFolder}/services/shared/outbox-relay/src/outbox_relay": f"{installed}/outbox_relay",
        "${workspaceFolder}/services/shared/common/src/millrace_common": f"{installed}/millrace_common",
    }
    assert "make deploy TAGS=sensors-relay" in text


@pytest.mark.parametrize("ended", [0, 2])
def test_how_to_attach_is_said_once_the_service_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], ended: int
) -> None:
    ran: list[Sequence[str]] = []

    def stream(command: Sequence[str], *, cwd: Path) -> int:
        assert cwd == paths.repo_root()
        ran.append(command)
        return ended

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "millrace" / "lab").mkdir(parents=True)
    (tmp_path / "millrace" / "lab" / "ssh_config").touch()
    monkeypatch.setattr(dev, "stream", stream)
    assert dev.dev_main(["sensors-job"]) == ended
    (command,) = ran
    assert list(command[-4:]) == ["--tags", "sensors-job", "-e", '{"millrace_debug": true}']
    said = capsys.readouterr().out
    assert ("127.0.0.1:9403:127.0.0.1:9403 apps-1" in said) is (ended == 0)


def test_only_what_can_be_debugged_can_be_chosen() -> None:
    with pytest.raises(MillraceError, match="no service 'kafka'; SERVICE is one of: sensors-job, "):
        dev.dev_main(["kafka"])
