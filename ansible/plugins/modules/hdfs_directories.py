#!/usr/bin/python
"""Ansible module: directories in HDFS, by the NameNode's own WebHDFS, so that no JVM has to start."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Protocol

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCUMENTATION = r"""
---
module: hdfs_directories
short_description: Make directories in HDFS and give them owner, group and mode
description:
  - Runs on the NameNode's machine, where its WebHDFS listens on the loopback address.
  - Makes what is missing and corrects what differs; removes nothing, and changes nothing below a directory.
options:
  port: {type: int, required: true, description: Port of the NameNode's WebHDFS.}
  user: {type: str, default: hdfs, description: The superuser.}
  directories:
    description: The directories.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {type: str, required: true, description: Absolute path.}
      owner: {type: str, required: true, description: Owner.}
      group: {type: str, required: true, description: Group.}
      mode: {type: str, required: true, description: Permissions as octal digits.}
author: Millrace (@millrace)
"""

EXAMPLES = r"""
- name: Make the lake
  hdfs_directories:
    port: 9870
    directories:
      - {path: /lake, owner: hdfs, group: lake, mode: "0770"}
"""

RETURN = r"""
actions: {description: What was done (in check mode, what would be)., type: list, returned: always}
"""

_MODE = re.compile("[01]?[0-7]{3}")
_ABOVE = "755"
_NOT_FOUND = 404
_TIMEOUT = 30
# The page is this node's own: never through a proxy that the environment names.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DirectoryError(Exception):
    """What can't be done, as a sentence for the user."""


class Files(Protocol):
    """The part of WebHDFS that is needed here."""

    def status(self, path: str) -> Mapping[str, str] | None:
        """Return type, owner, group and permission of a path, None where there is nothing."""

    def put(self, operation: str, path: str, **parameters: str) -> None:
        """Carry out a changing operation. Raises DirectoryError."""


class WebHdfs:
    """WebHDFS of the NameNode on this machine, as one user."""

    def __init__(self, port: int, user: str) -> None:
        """Say where; nothing is asked yet."""
        self.base = f"http://127.0.0.1:{port}/webhdfs/v1"
        self.user = user

    def status(self, path: str) -> Mapping[str, str] | None:
        """Return type, owner, group and permission of a path, None where there is nothing."""
        answer = self._ask("GET", "GETFILESTATUS", path, {})
        return None if answer is None else dict(answer["FileStatus"])

    def put(self, operation: str, path: str, **parameters: str) -> None:
        """Carry out a changing operation. Raises DirectoryError."""
        answer = self._ask("PUT", operation, path, parameters)
        if answer is None or answer.get("boolean") is False:
            message = f"{operation} of {path} was refused without a reason"
            raise DirectoryError(message)

    def _ask(
        self, method: str, operation: str, path: str, parameters: Mapping[str, str]
    ) -> dict[str, Any] | None:
        query = urllib.parse.urlencode({"op": operation, "user.name": self.user, **parameters})
        url = f"{self.base}{urllib.parse.quote(path)}?{query}"
        request = urllib.request.Request(url, method=method)  # noqa: S310 - the URL is http
        try:
            with _DIRECT.open(request, timeout=_TIMEOUT) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            message = f"{operation} of {path}: {_reason(error.read())}"
            raise DirectoryError(message) from error
        except OSError as error:
            message = f"the NameNode doesn't answer at {self.base}: {error}"
            raise DirectoryError(message) from error


def _reason(body: bytes) -> str:
    try:
        said = json.loads(body)["RemoteException"]
    except (ValueError, LookupError, TypeError):
        return body.decode("utf-8", "replace")[:500]
    return f"{said['exception']}: {said['message']}"


def check(directory: Mapping[str, str]) -> str | None:
    """Return what is wrong with the description of a directory, or None."""
    path, mode = directory["path"], directory["mode"]
    if path != "/" and (not path.startswith("/") or not all(path[1:].split("/"))):
        return f"path {path!r}: must be absolute, with single slashes and none at the end"
    if {".", ".."} & set(path.split("/")):
        return f"path {path!r}: must not have . or .. in it"
    if not _MODE.fullmatch(mode):
        return f"mode {mode!r} of {path}: must be three or four octal digits, 1777 at most"
    return None


def differences(directory: Mapping[str, str], found: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Return the operations, with their parameters, that make a directory what it should be."""
    if found["type"] != "DIRECTORY":
        message = f"{directory['path']} is there already, and is no directory"
        raise DirectoryError(message)
    operations = []
    wanted = {key: directory[key] for key in ("owner", "group")}
    if wanted != {key: found[key] for key in wanted}:
        operations.append(("SETOWNER", wanted))
    if int(directory["mode"], 8) != int(found["permission"], 8):
        operations.append(("SETPERMISSION", {"permission": directory["mode"]}))
    return operations


def bring(files: Files, directories: Sequence[Mapping[str, str]], *, check_mode: bool) -> list[str]:
    """Make and correct the directories, in their order; return one line for each action."""
    actions: list[str] = []
    for directory in directories:
        path = directory["path"]
        found = files.status(path)
        if found is None:
            actions.append(f"make {path}")
            if check_mode:
                continue
            # What is missing above it gets the same permissions, so its own ones come afterwards.
            files.put("MKDIRS", path, permission=_ABOVE)
            found = files.status(path) or {}
        for operation, parameters in differences(directory, found):
            actions.append(f"{path}: {' '.join(f'{key} {value}' for key, value in parameters.items())}")
            if not check_mode:
                files.put(operation, path, **parameters)
    return actions


def main() -> None:
    """Entry point of the module."""
    text = {"type": "str", "required": True}
    directory = {"path": text, "owner": text, "group": text, "mode": text}
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "required": True},
            "user": {"type": "str", "default": "hdfs"},
            "directories": {"type": "list", "elements": "dict", "required": True, "options": directory},
        },
        supports_check_mode=True,
    )
    wanted = module.params["directories"]
    for one in wanted:
        if problem := check(one):
            module.fail_json(msg=problem)
    try:
        files = WebHdfs(module.params["port"], module.params["user"])
        actions = bring(files, wanted, check_mode=module.check_mode)
    except DirectoryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(actions), actions=actions)


if __name__ == "__main__":
    main()
