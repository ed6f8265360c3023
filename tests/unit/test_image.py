"""The base image's cache: what is imported from it, and what is made again instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.artifacts import store
from millrace.providers.lab import image, incus


class Daemon:
    """Stands in for Incus and mmdebstrap: what was made, and what of it was imported."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.made = 0
        self.imported: list[str] = []

    def stream(self, command: list[str]) -> int:
        """Make an image whose content says the how-manieth it is."""
        assert command[0] == "mmdebstrap"
        self.made += 1
        target = next(word for word in command if word.endswith(".tar"))
        Path(target).write_text(f"image {self.made}", encoding="ascii")
        return 0

    def incus(self, *words: str) -> str:
        """Take an image."""
        assert words[:2] == ("image", "import")
        self.imported.append(Path(words[3]).read_text(encoding="ascii"))
        return ""


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """Have a daemon without the image, and an empty cache."""
    found = Daemon()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(image, "stream", found.stream)
    monkeypatch.setattr(image, "mirror", lambda: None)
    monkeypatch.setattr(incus, "image_exists", lambda _: False)
    monkeypatch.setattr(incus, "incus", found.incus)
    monkeypatch.setattr(incus, "root_command", lambda *words: list(words))
    return found


@pytest.fixture
def cached(daemon: Daemon, tmp_path: Path) -> Path:
    """Make and import the image once; return it in the cache."""
    image.ensure()
    assert daemon.imported == ["image 1"]
    return tmp_path / "millrace" / "images" / f"{image.alias()}.tar"


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
