"""The base image's cache: what is imported from it, what is made again instead, and what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from millrace.artifacts import store
from millrace.console import CommandError, MillraceError
from millrace.machine import sudo
from millrace.providers import debian_image
from millrace.providers.lab import image, incus

if TYPE_CHECKING:
    from collections.abc import Sequence


class Daemon:
    """Stands in for Incus and mmdebstrap: what was made, and what of it was imported."""

    def __init__(self) -> None:
        """Start with nothing, and a mirror that answers."""
        self.made = 0
        self.imported: list[str] = []
        self.aliases: list[str] = []
        self.versions = "00000001"
        self.reached = True

    def ask(self, _packages: Sequence[str]) -> str:
        """Say what the mirror has."""
        if not self.reached:
            raise CommandError(["apt-get"], 100, "Could not connect")
        return self.versions

    def query(self, path: str) -> list[dict[str, Any]]:
        """List the images."""
        assert path == "/1.0/images?recursion=1"
        listed = [{"uploaded_at": str(at), "aliases": [{"name": one}]} for at, one in enumerate(self.aliases)]
        return [{"uploaded_at": "9", "aliases": [{"name": "somebody-elses"}]}, *listed]

    def stream(self, command: list[str]) -> int:
        """Make an image whose content says the how-manieth it is."""
        assert command[0] == "mmdebstrap"
        self.made += 1
        target = next(word for word in command if word.endswith(".tar"))
        Path(target).write_text(f"image {self.made}", encoding="ascii")
        return 0

    def incus(self, *words: str) -> str:
        """Take an image, or remove one."""
        if words[1] == "delete":
            self.aliases.remove(words[-1])
            return ""
        assert words[:2] == ("image", "import")
        self.imported.append(Path(words[3]).read_text(encoding="ascii"))
        self.aliases.append(words[words.index("--alias") + 1])
        return ""


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """Have a daemon without the image, and an empty cache."""
    found = Daemon()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian_image, "stream", found.stream)
    monkeypatch.setattr(debian_image, "mirror", lambda: None)
    monkeypatch.setattr(debian_image, "versions", found.ask)
    monkeypatch.setattr(sudo, "root_command", lambda *words: list(words))
    monkeypatch.setattr(image, "mirror", lambda: None)
    monkeypatch.setattr(incus, "image_exists", lambda _: False)
    monkeypatch.setattr(incus, "incus", found.incus)
    monkeypatch.setattr(incus, "query", found.query)
    monkeypatch.setattr(incus, "root_command", lambda *words: list(words))
    return found


@pytest.fixture
def cached(daemon: Daemon, tmp_path: Path) -> Path:
    """Make and import the image once; return it in the cache."""
    name = image.ensure()
    assert daemon.imported == ["image 1"]
    return tmp_path / "millrace" / "images" / f"{name}.tar"


def test_a_whole_image_in_the_cache_is_imported_as_it_is(
    daemon: Daemon, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image.unusable(cached) == ""
    capsys.readouterr()
    image.ensure()
    assert daemon.imported == ["image 1", "image 1"]
    assert "making" not in capsys.readouterr().out


def test_an_image_that_has_changed_is_told_and_made_again(
    daemon: Daemon, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cached.write_text("image 1, but cut", encoding="ascii")
    image.ensure()
    assert daemon.imported == ["image 1", "image 2"]
    assert f"the cached image {cached.name} is not what was made" in capsys.readouterr().out
    image.ensure()
    assert daemon.imported[-1] == "image 2"


def test_an_image_of_which_nobody_can_tell_is_made_again(
    daemon: Daemon, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.checksum_file(cached).unlink()
    image.ensure()
    assert daemon.imported == ["image 1", "image 2"]
    assert f"the cached image {cached.name} has no checksum" in capsys.readouterr().out


def test_an_update_makes_another_image_of_the_same_recipe(daemon: Daemon, cached: Path) -> None:
    daemon.versions = "00000002"
    name = image.ensure()
    assert name == f"{cached.stem.rpartition('-')[0]}-00000002"
    assert daemon.imported == ["image 1", "image 2"]


def test_without_the_mirror_the_newest_whole_image_is_used_and_told(
    daemon: Daemon, cached: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.versions = "00000002"
    second = image.ensure()
    os.utime(cached, (1, 1))
    daemon.reached = False
    assert image.ensure() == second
    assert f"{second} is used, and whether it lacks updates is not known" in capsys.readouterr().out
    cached.with_name(f"{second}.tar").write_text("image 2, but cut", encoding="ascii")
    assert image.ensure() == cached.stem


def test_without_the_mirror_and_an_image_the_reason_is_told(daemon: Daemon) -> None:
    daemon.reached = False
    with pytest.raises(
        MillraceError, match=r"no image millrace-base-\w+ from before:(.|\n)*Could not connect"
    ):
        image.ensure()


def test_old_images_go_and_the_used_one_stays(daemon: Daemon, cached: Path) -> None:
    os.utime(cached, (1, 1))
    for number in range(2, 6):
        daemon.versions = f"0000000{number}"
        os.utime(cached.with_name(f"{image.ensure()}.tar"), (number, number))
    # The one in use may be an old one: a package was taken back.
    daemon.versions = "00000003"
    image.ensure()
    kept = sorted(
        path.stem.rpartition("-")[2] for path in cached.parent.glob("*.tar") if "." not in path.stem
    )
    assert kept == ["00000003", "00000004", "00000005"]
    assert len(list(cached.parent.iterdir())) == 3 * len(kept)
    assert sorted({name.rpartition("-")[2] for name in daemon.aliases}) == kept
