"""The cache of artefacts: ``<name>-<key>.tar`` with its checksum beside it, verified at every use."""

from __future__ import annotations

import fcntl
import re
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.artifacts.model import Artifact, ArtifactError, Recipe, Runner, file_sha256, key_of, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT_PER_NAME = 3
_EPOCH = 946684800  # 2000-01-01: one fixed time for every member, so that equal content gives equal archives


def obtain(recipe: Recipe, cache: Path, run: Runner = run_command) -> Artifact:
    """Give a recipe's archive, from the folder ``cache`` if it is there and undamaged, else by fetching it.

    Two callers at once are safe: one fetches, the other waits for it. Raises ArtifactError.
    """
    try:
        key = key_of(recipe)
    except OSError as error:
        message = f"artefact {recipe.name}: its recipe can't be read: {error}"
        raise ArtifactError(message) from error
    path = cache / f"{recipe.name}-{key}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{recipe.name}.lock"):
        present = path.exists()
        checksum = verified(path)
        if checksum is not None:
            return Artifact(recipe.name, path, key, checksum, fetched=False, corrupt=False)
        checksum = _fetch(recipe, path, run)
        _prune(recipe.name, path)
        return Artifact(recipe.name, path, key, checksum, fetched=True, corrupt=present)


def checksum_file(path: Path) -> Path:
    """Return the file beside an archive that says which checksum it had when it was stored."""
    return path.with_name(path.name + ".sha256")


def record_checksum(path: Path) -> None:
    """Write a file's checksum beside it, for `verified`."""
    checksum_file(path).write_text(f"{file_sha256(path)}  {path.name}\n", encoding="ascii")


def verified(path: Path) -> str | None:
    """Return the entry's checksum, or None when it is missing or isn't what was once stored."""
    try:
        recorded = checksum_file(path).read_text(encoding="ascii").split()[0]
        return recorded if file_sha256(path) == recorded else None
    except (FileNotFoundError, IndexError, UnicodeDecodeError):
        return None


def _fetch(recipe: Recipe, path: Path, run: Runner) -> str:
    """Make the archive beside its final place and move it there in one step; returns its checksum."""
    with tempfile.TemporaryDirectory(prefix=f".{recipe.name}-", dir=path.parent) as folder:
        tree, work = Path(folder, "tree"), Path(folder, "work")
        tree.mkdir()
        work.mkdir()
        try:
            recipe.make(tree, work, run)
        except (ArtifactError, OSError) as error:
            message = f"artefact {recipe.name} (from {recipe.source}): {error}\nWhat to do: {recipe.advice}"
            raise ArtifactError(message) from error
        made = Path(folder, "archive.tar")
        pack(tree, made)
        checksum = file_sha256(made)
        checksum_file(path).unlink(missing_ok=True)
        made.replace(path)
        noted = Path(folder, "checksum")
        noted.write_text(f"{checksum}  {path.name}\n", encoding="ascii")
        noted.replace(checksum_file(path))
    return checksum


def pack(tree: Path, archive: Path) -> None:
    """Pack a folder's content so that equal content gives equal bytes: sorted, one time, owned by root."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = _EPOCH
        executable = member.isdir() or bool(member.mode & 0o100)
        member.mode = 0o755 if executable else 0o644
        return member

    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=plain)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prune(name: str, kept: Path) -> None:
    """Drop all but the newest few archives of one name, so that a changing source doesn't fill the disk."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{16}\.tar")
    entries = [path for path in kept.parent.iterdir() if pattern.fullmatch(path.name) and path != kept]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[_KEPT_PER_NAME - 1 :]:
        path.unlink(missing_ok=True)
        checksum_file(path).unlink(missing_ok=True)
