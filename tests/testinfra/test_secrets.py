"""No generated password stands where it does not belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace import paths
from millrace.access import remote
from millrace.model import secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from millrace.model.topology import Node

# The patterns come on standard input: on a command line they would be what the test looks for.
PATTERNS = "patterns=$(mktemp); trap 'rm -f $patterns' EXIT; cat >$patterns"
WORLD_READABLE = (
    "find /etc /opt /var/lib /var/log /run /tmp /usr/local -xdev -type f -perm -o=r -size -4M"
    " -not -path '/opt/*/site-packages/*' -print0 | xargs -0 -r grep -lFf $patterns --"
)
UNITS = "grep -rlFf $patterns /etc/systemd /run/systemd/system /usr/lib/systemd/system"
COMMAND_LINES = (
    "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f 2>/dev/null | grep -qFf $patterns && echo $f; done"
)
JOURNAL = "journalctl -q --no-pager -o cat | grep -cFf $patterns"
# What executors print, and what drivers record of their plans and settings, which is compressed.
SPARK = (
    "cd /var/lib/spark 2>/dev/null || exit 0; "
    "find work -type f -print0 | xargs -0 -r grep -lFf $patterns --; "
    "for f in $(find events -type f); do zstd -dcf $f 2>/dev/null | grep -qFf $patterns && echo $f; done"
)


def _passwords() -> str:
    values = secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())
    kinds = secrets.load_kinds(paths.environment())
    # The other kind are identities of clusters, which stand in their files.
    return "".join(f"{value}\n" for name, value in sorted(values.items()) if kinds.get(name) == "password")


def _found(node: Node, script: str) -> Iterator[str]:
    answer = remote.run(node.name, ["sudo", "sh", "-c", f"{PATTERNS}; {script}; true"], stdin=_passwords())
    return (line for line in answer.splitlines() if line and line != "0")


def test_no_password_in_a_world_readable_file(node: Node) -> None:
    assert list(_found(node, WORLD_READABLE)) == []


def test_no_password_in_a_unit(node: Node) -> None:
    assert list(_found(node, UNITS)) == []


def test_no_password_on_a_command_line(node: Node) -> None:
    assert list(_found(node, COMMAND_LINES)) == []


def test_no_password_in_the_journal(node: Node) -> None:
    assert list(_found(node, JOURNAL)) == []


def test_no_password_in_what_spark_keeps(node: Node) -> None:
    assert list(_found(node, SPARK)) == []


def test_the_search_finds_a_password_where_there_is_one(node: Node) -> None:
    """An empty answer above means something only if the same search can find one."""
    password = _passwords().splitlines()[0]
    path = "/tmp/millrace-secret-search"  # noqa: S108 - a world-readable file is the point
    remote.run(node.name, ["sudo", "sh", "-c", f"umask 022; cat >{path}"], stdin=password)
    try:
        assert path in list(_found(node, WORLD_READABLE))
    finally:
        remote.run(node.name, ["sudo", "rm", "-f", path])


def test_the_search_of_what_spark_keeps_finds_a_password_in_an_event_log(node: Node) -> None:
    path = "events/millrace-secret-search.zstd"
    there = "cd /var/lib/spark 2>/dev/null || exit 0"
    password = _passwords().splitlines()[0]
    remote.run(node.name, ["sudo", "sh", "-c", f"{there}; zstd -q >{path}; echo made"], stdin=password)
    try:
        expected = remote.run(node.name, ["sudo", "sh", "-c", f"{there}; echo {path}"]).split()
        assert list(_found(node, SPARK)) == expected
    finally:
        remote.run(node.name, ["sudo", "rm", "-f", f"/var/lib/spark/{path}"])
