"""The directories of HDFS that an application declares."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.yamlio import Reader

# Made by the platform (ansible/defaults/hdfs.yml), or HDFS' own.
RESERVED = ("/", "/lake", "/tmp", "/user")  # noqa: S108 - in HDFS
_PATH = re.compile(r"(/[A-Za-z0-9._=-]+)+|/")
_MODE = re.compile("[01]?[0-7]{3}")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; `mode` has three or four octal digits."""

    path: str
    owner: str = ""
    group: str = ""
    mode: str = ""

    def plain(self) -> dict[str, str]:
        """Return it as the role hdfs takes it."""
        return {"path": self.path, "owner": self.owner, "group": self.group, "mode": self.mode}


def read_directories(reader: Reader, value: object) -> tuple[Directory, ...]:
    """Return the directories, noting what is wrong with them."""
    return tuple(
        _directory(reader, item, f"hdfs.directories[{index}]")
        for index, item in enumerate(reader.items(value, "hdfs.directories"))
    )


def _directory(reader: Reader, value: object, where: str) -> Directory:
    fields = reader.fields(value, where, ["path", "owner", "group", "mode"])
    path, owner, group = (reader.text(fields, key, where) for key in ("path", "owner", "group"))
    if path and (not _PATH.fullmatch(path) or posixpath.normpath(path) != path):
        reader.add(f"{where}.path", f"must be an absolute path such as /{group or 'data'}/in, not {path!r}")
    elif path in RESERVED:
        reader.add(f"{where}.path", f"{path} is the platform's; name a directory of the application's own")
    for key, name in (("owner", owner), ("group", group)):
        if name and not _NAME.fullmatch(name):
            reader.add(f"{where}.{key}", f"must be the name of a user or a group, not {name!r}")
    mode = fields.get("mode", "0750")
    if not isinstance(mode, str) or not _MODE.fullmatch(mode):
        reader.add(
            f"{where}.mode", f'must be three or four octal digits in quotes, such as "0750", not {mode!r}'
        )
        mode = ""
    return Directory(path, owner, group, mode)
