"""The bootstrap's pure parts: what a machine is, what stands in the way, what would change."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from millrace import paths, system
from millrace.console import MillraceError
from millrace.machine import bootstrap, findings, sudo
from millrace.machine.bootstrap import backports_source
from millrace.providers import debian_image, needs, terraform
from millrace.providers.interface import NOTHING_FOUND, Machine, Needs
from millrace.providers.lab import daemon, image, incus

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN_12 = system.OsRelease("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
ARCHIVE = system.AptSource(("deb",), "http://mirror.example/debian", ("bookworm",), ("main",), None)


def test_os_release_with_and_without_quotes() -> None:
    text = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n'
    assert system.parse_os_release(text) == system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04.1 LTS")


def test_an_unknown_system_has_a_name_for_messages() -> None:
    assert system.parse_os_release("").pretty == "an unknown distribution"


def test_one_line_sources_with_options_comments_and_source_packages() -> None:
    text = (
        "# deb http://old.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/keys/k.gpg] http://a.example/debian bookworm main contrib # x\n"
        "deb-src http://a.example/debian bookworm main\n"
    )
    sources = system.parse_one_line_sources(text)
    assert sources == [
        system.AptSource(
            ("deb",),
            "http://a.example/debian",
            ("bookworm",),
            ("main", "contrib"),
            "/keys/k.gpg",
        ),
        system.AptSource(("deb-src",), "http://a.example/debian", ("bookworm",), ("main",), None),
    ]
    assert system.archive(sources[1:], "bookworm") is None


def test_deb822_sources_with_several_uris_comments_and_disabled_stanzas() -> None:
    text = (
        "Types: deb\n# a comment\nURIs: http://a.example/debian http://b.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://c.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n"
    )
    sources = system.parse_deb822_sources(text)
    assert [source.uri for source in sources] == ["http://a.example/debian", "http://b.example/debian"]
    found = system.archive(sources, "bookworm")
    assert found is not None
    assert (found.uri, found.signed_by) == ("http://a.example/debian", "/k.gpg")


def test_the_mirror_is_the_archive_and_not_the_security_one() -> None:
    security = system.AptSource(
        ("deb",), "http://s.example/debian-security", ("bookworm-security",), ("main",), None
    )
    assert system.debian_mirror([security, ARCHIVE]) == "http://mirror.example/debian"
    assert system.debian_mirror([security]) is None


def test_backports_come_from_the_same_mirror_with_the_same_key() -> None:
    text = backports_source(replace(ARCHIVE, signed_by="/k.gpg"))
    assert system.parse_deb822_sources(text) == [
        system.AptSource(
            ("deb",), "http://mirror.example/debian", ("bookworm-backports",), ("main",), "/k.gpg"
        )
    ]


NOBLE = system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS")


@dataclass
class Fake:
    """A provider's preparation that needs one package and nothing of Incus; its nodes run elsewhere."""

    place: None = None
    changed: list[str] = field(default_factory=list)
    looked: list[Machine] = field(default_factory=list)
    exists: bool = False

    def needs(self, release: system.OsRelease) -> Needs:
        """Need one package, whatever the distribution."""
        return Needs({"fake-client": "fake-client"}, called=f"fake on {release.id}")

    def look(self, machine: Machine) -> Fake:
        """Record the call."""
        self.looked.append(machine)
        return self

    def problems(self) -> list[str]:
        """Find none."""
        return []

    def plan(self) -> list[str]:
        """Plan one change."""
        return ["write the fake's settings"]

    def change(self) -> None:
        """Record the call."""
        self.changed.append("settings")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Make an environment of a provider without Incus, on a machine where asking for Incus fails."""
    made = Fake()
    for env, text in (
        ("cloud", "provider: libvirt\nnodes:\n  a: {memory: 999999999}\n"),
        ("lab", "provider: lab\nnetwork: {bridge: millrace0, cidr: 10.77.0.0/24, gateway: 10.77.0.1}\n"),
    ):
        (tmp_path / "inventories" / env).mkdir(parents=True)
        (tmp_path / "inventories" / env / "topology.yml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("millrace.paths.repo_root", lambda: tmp_path)
    monkeypatch.setattr(bootstrap, "repo_root", lambda: tmp_path)
    monkeypatch.setitem(needs.PREPARATIONS, "libvirt", lambda _: made)
    monkeypatch.setenv("ENV", "cloud")
    monkeypatch.setenv("YES", "1")
    monkeypatch.setattr(system, "read_os_release", lambda: DEBIAN_12)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    for module, names in (
        (incus, ("directory", "root_command", "command", "running", "query")),
        (daemon, ("start", "set_up", "network", "has_pool")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda *_, name=name, **__: pytest.fail(f"Incus: {name}"))
    return made


def test_for_a_provider_without_incus_the_bootstrap_says_and_does_nothing_about_it(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[str] = []

    def stream(words: list[str]) -> int:
        commands.append(" ".join(words))
        return 0

    monkeypatch.setattr(bootstrap, "stream", stream)
    monkeypatch.setattr(bootstrap, "_has", lambda evidence: evidence in {*bootstrap.PACKAGES.values()})
    monkeypatch.setattr(sudo, "run", lambda words, **_: pytest.fail(f"as root: {words}"))
    monkeypatch.setattr(sudo, "privileged", lambda: True)
    assert bootstrap.main([]) == 0
    printed = capsys.readouterr().out
    assert "install packages (and what they depend on): fake-client\n  - write the fake's settings" in printed
    assert "The fake on debian needs up to 2 GiB of disk in " in printed
    assert fake.changed == ["settings"]
    assert fake.looked == [Machine(DEBIAN_12, privileged=True, missing=("fake-client",))]
    assert [words.rpartition(" ")[2] for words in commands] == ["update", "fake-client"]
    everything = (printed + "".join(commands)).lower()
    assert [word for word in ("incus", "bridge", "pool", "subordinate", "memory") if word in everything] == []


def test_nodes_that_run_elsewhere_need_no_memory_here(fake: Fake) -> None:
    facts = findings.Facts(DEBIAN_12, privileged=True, missing=(), memory=1, disk=3.0)
    assert findings.problems(facts, findings.Wanted(2, fake)) == []
    (problem,) = findings.problems(replace(facts, disk=1.0), findings.Wanted(2, fake))
    assert problem.startswith("2 GiB of disk are needed under ")


def test_a_system_that_is_not_supported_but_has_everything_will_do() -> None:
    facts = findings.Facts(DEBIAN_12, privileged=True, missing=(), memory=1, disk=3.0, found=NOTHING_FOUND)
    wanted = findings.Wanted(1, Fake())
    assert findings.problems(replace(facts, os=replace(DEBIAN_12, id="fedora")), wanted) == []
    (problem,) = findings.problems(
        replace(facts, os=replace(DEBIAN_12, id="fedora"), missing=("git",)), wanted
    )
    assert problem.endswith("install the like of these Debian packages: git")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Lack what the tool environment needs, at a terminal; return the list of what gets installed."""
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(bootstrap, "_has", lambda _: False)
    monkeypatch.setattr(sudo, "privileged", lambda: True)
    monkeypatch.setattr(bootstrap, "install", lambda facts: installed.append(facts.missing))
    monkeypatch.setattr(system, "read_os_release", lambda: DEBIAN_12)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.delenv("YES", raising=False)
    return installed


def test_nobody_is_asked_for_packages_where_the_question_is_not_seen(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("a question was asked"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with pytest.raises(MillraceError, match=r"needs the packages python3-venv; `make tools` installs them"):
        bootstrap.main(["--tools"])
    assert bare == []
    monkeypatch.setenv("YES", "1")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_where_the_question_is_seen_the_answer_counts(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(MillraceError, match="nothing was changed"):
        bootstrap.main(["--tools"])
    assert bare == []
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_without_a_terminal_the_answer_is_no_and_the_way_to_yes_is_named(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("a question was asked"))
    with pytest.raises(MillraceError, match="nothing was changed"):
        bootstrap.main(["--tools"])
    assert bare == []
    assert "YES=1" in capsys.readouterr().out
    monkeypatch.setenv("YES", "1")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_the_image_has_another_name_when_its_recipe_changes() -> None:
    assert image.recipe_hash() == image.recipe_hash(tuple(reversed(debian_image.PACKAGES)))
    assert image.recipe_hash() != image.recipe_hash((*debian_image.PACKAGES, "vim"))
    assert image.recipe_hash() != image.recipe_hash(hooks=(*image.HOOKS, "true"))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"terraform_version": "1.11.4"}', (1, 11, 4)),
        ('{"terraform_version": "1.8.0-rc1"}', (1, 8, 0)),
        ("?", (0, 0, 0)),
    ],
)
def test_versions_of_terraform_and_tofu(text: str, version: tuple[int, int, int]) -> None:
    assert terraform.parse_version(text) == version


@pytest.mark.parametrize(
    "module",
    [
        "machine.bootstrap",
        "model.lasting",
        "providers.lab.needs",
        "providers.libvirt.needs",
        "providers.openstack.needs",
        "providers.terraform",
        "verbs.phases",
    ],
)
def test_what_runs_before_the_tool_environment_needs_only_python(module: str) -> None:
    # -S: without the packages that this Python has, as on a stock Debian, whose Python has no PyYAML.
    done = subprocess.run(  # noqa: S603 - fixed words
        [sys.executable, "-S", "-c", f"import millrace.{module}"],
        env={"PYTHONPATH": str(paths.repo_root() / "tools" / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
