"""What `make status` says of upgrades: how many are due, of which lists, and what it cannot know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from millrace.access import remote
from millrace.verbs import updates

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
ANSWER = """\
Inst libzstd1 [1.5.7-1] (1.5.7-1+deb13u1 Debian-Security:13/stable-security [amd64])
Inst tzdata [2026a-1] (2026b-1 Debian:13-updates/stable-updates [all])
Inst openjdk-21-jre-headless [21.0.13] (21.0.14 Debian-Security:13/stable-security [amd64]) []
Conf libzstd1 (1.5.7-1+deb13u1 Debian-Security:13/stable-security [amd64])
Unattended-Upgrade::Package-Blacklist "";
Unattended-Upgrade::Package-Blacklist:: "openjdk-";
Unattended-Upgrade::Package-Blacklist:: "postgresql";
Date: Wed, 25 Nov 2026 02:22:31 UTC
"""


def test_an_answer_tells_what_is_due_for_security_and_by_hand() -> None:
    found = updates.parse(ANSWER)
    assert found.due == {"libzstd1", "tzdata", "openjdk-21-jre-headless"}
    assert found.security == {"libzstd1", "openjdk-21-jre-headless"}
    assert found.by_hand == {"openjdk-21-jre-headless"}
    assert found.known == datetime(2026, 11, 25, 2, 22, 31, tzinfo=UTC)
    assert not found.reboot
    assert updates.parse(f"{ANSWER}reboot\n").reboot


def test_the_page_counts_each_node() -> None:
    nothing = ANSWER[ANSWER.index("Unattended") :]
    found = {"a": updates.parse(ANSWER), "b": updates.parse(f"{nothing}reboot\n"), "c": updates.parse(ANSWER)}
    assert updates.render(found, NOW) == [
        "updates",
        "  due                 3 packages, 2 for security, on a, c",
        "  by hand             openjdk-21-jre-headless on a, c",
        "  by lists of         2026-11-25 02:22 UTC",
        "  reboot wanted by    b",
    ]


def test_what_is_the_same_everywhere_is_said_once() -> None:
    nothing = updates.parse(ANSWER[ANSWER.index("Unattended") :])
    everywhere = {"a": updates.parse(ANSWER), "b": updates.parse(ANSWER)}
    assert updates.render(everywhere, NOW)[1:3] == [
        "  due                 3 packages, 2 for security, on all 2 nodes",
        "  by hand             openjdk-21-jre-headless on all 2 nodes",
    ]
    assert updates.render({"a": nothing, "b": nothing}, NOW)[1] == "  due                 nothing"


@pytest.mark.parametrize(("days", "told"), [(3, False), (5, True)])
def test_old_lists_are_told(days: int, *, told: bool) -> None:
    page = updates.render({"a": updates.parse(ANSWER)}, NOW + timedelta(days=days - 2))
    assert ("  (old, so more may be due: a)" in "\n".join(page)) is told


def test_what_is_not_known_is_not_called_nothing() -> None:
    found = {"a": updates.parse('Unattended-Upgrade::Package-Blacklist "";\n'), "b": None}
    assert updates.render(found, NOW) == [
        "updates",
        "  due                 not known",
        "  no lists on         a",
        "  no answer from      b",
    ]


def test_a_node_whose_apt_fails_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "run_each", lambda commands: {**dict.fromkeys(commands), "a": ANSWER})
    found = updates.collect(["a", "b"])
    assert found["a"] == updates.parse(ANSWER)
    assert found["b"] is None
