"""Kafka flushes each batch before it acknowledges it where one copy is enough; elsewhere it does not."""

from __future__ import annotations

import pytest
import rendering

SETTING = "log.flush.interval.messages"


def properties(env: str, **variables: object) -> dict[str, str]:
    """Return the settings that a broker of an environment would have."""
    use = next(use for use in rendering.uses() if use.role == "kafka")
    template = (rendering.ROOT / "roles" / "kafka" / "templates" / "server.properties.j2").read_text()
    text = rendering.environment(env).render(use, "kafka-1", template, variables)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(("env", "value"), [("mini", "1"), ("lab", None)])
def test_one_broker_flushes_and_three_do_not(env: str, value: str | None) -> None:
    assert properties(env).get(SETTING) == value


def test_what_counts_is_how_many_copies_acknowledge() -> None:
    assert properties("lab", kafka_min_insync_replicas="1")[SETTING] == "1"


def test_an_environment_may_have_it_otherwise() -> None:
    assert SETTING not in properties("mini", kafka_extra_config={SETTING: None})
