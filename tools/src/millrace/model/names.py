"""What an application, and what it declares, may be called: a pattern for each kind, and taken names.

A service's name is that of its Unix user, its unit, its folders on the nodes, and (with _ for -) of the
variables that override its settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millrace.yamlio import Reader


@dataclass(frozen=True, slots=True)
class Rule:
    """What names of one kind are like: `says` is the pattern in words; `taken` names may end with *."""

    kind: str
    pattern: re.Pattern[str]
    says: str
    taken: frozenset[str] = frozenset()

    def problem(self, name: str) -> str:
        """Return what is wrong with a name, empty if nothing is."""
        if not self.pattern.fullmatch(name):
            return f"the name of {self.kind} is {self.says}; {name!r} is not"
        for taken in self.taken:
            if name == taken or (taken.endswith("*") and name.startswith(taken[:-1])):
                return f"{name!r} is taken by the system or the platform; choose another name for {self.kind}"
        return ""


_HYPHENS = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
_HYPHENS_SAY = "1 to 31 lower-case letters, digits and hyphens, a letter first and no hyphen last"
_SQL = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SQL_SAYS = "1 to 63 lower-case letters, digits and underscores, no digit first"
# Accounts and units of Debian.
_SYSTEM = (
    *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy"),
    *("www-data", "backup", "list", "irc", "gnats", "nobody", "messagebus", "polkitd", "sshd", "ssh"),
    *("debian", "ubuntu", "admin", "sudo", "adm", "users", "staff", "shadow", "cron", "dbus", "nftables"),
    *("chrony", "networking", "rsyslog", "unattended-upgrades", "systemd-*"),
)
_PLATFORM = ("postgres", "postgresql", "kafka", "spark", "hdfs", "lake", "millrace", "tests", "supergroup")
# NAME_config, NAME_schedule or NAME_settings are variables of roles, or NAME is a unit of theirs.
_OF_ROLES = (
    *("hdfs-checkpoint", "jvm-app-unit", "kafka-extra", "python-service", "python-service-debug"),
    *("spark-extra", "spark-job", "spark-master-check", "timescaledb-extra"),
)

SERVICE = Rule("a service", _HYPHENS, _HYPHENS_SAY, frozenset((*_SYSTEM, *_PLATFORM, *_OF_ROLES)))
USER = Rule("a program's user", _HYPHENS, _HYPHENS_SAY, SERVICE.taken)
# Beside services/: folders of tests, and the code that applications share.
APPLICATION = Rule(
    "an application's folder",
    _HYPHENS,
    _HYPHENS_SAY,
    frozenset(
        (
            "shared",
            "millrace",
            *_OF_ROLES,
            "bench",
            "chaos",
            "platform",
            "support",
            "testinfra",
            "tests",
            "unit",
        ),
    ),
)
# That two have one account, or one the platform's, is told where all declarations are known (joined.py).
KAFKA_ACCOUNT = Rule("a Kafka account", _HYPHENS, _HYPHENS_SAY)
DATABASE = Rule("a database", _SQL, _SQL_SAYS, frozenset(("postgres", "template0", "template1")))
DATABASE_ACCOUNT = Rule(
    "a database's account",
    _SQL,
    _SQL_SAYS,
    frozenset(
        ("postgres", "public", "none", "user", "current_role", "current_user", "session_user", "pg_*"),
    ),
)
SECRET = Rule(
    "a secret",
    re.compile(r"[a-z][a-z0-9_]{0,62}"),
    "1 to 63 lower-case letters, digits and underscores, a letter first",
)
# Ansible makes the first two itself; the others stand for what is no group of the topology.
GROUP = Rule(
    "a group of nodes",
    re.compile(r"[a-z][a-z0-9_]{0,62}"),
    "1 to 63 lower-case letters, digits and underscores, a letter first",
    frozenset(("all", "ungrouped", "applications", "operator")),
)


def check_names(reader: Reader, rule: Rule, names: Iterable[str], where: str) -> None:
    """Note what is wrong with the keys of the mapping at `where`."""
    for name in names:
        if problem := rule.problem(name):
            reader.add(f"{where}.{name}", problem)
