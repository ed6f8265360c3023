"""What the lifecycle's SQL files say, without a database: one place for ages, and the edition kept apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[2]
COMMUNITY = FILES.joinpath("community/policies.sql").read_text(encoding="utf-8")
MIGRATIONS = {path.name: path.read_text(encoding="utf-8") for path in FILES.joinpath("migrations").iterdir()}
ONLY_COMMUNITY = r"timescaledb\.compress|_(?:compression|columnstore|retention)_policy|compress_chunk"


def code(text: str) -> str:
    """Return SQL without its comments."""
    return re.sub(r"--.*", "", text)


def test_the_ages_are_those_that_were_asked_for() -> None:
    row = re.compile(r"\('(\w+)', '(\d+) days', '(\d+) days'\)")
    found = {kind: (int(a), int(b)) for kind, a, b in row.findall(MIGRATIONS["0006_lifecycle.sql"])}
    assert found == {
        "measurements": (3, 90),
        "anomalies": (7, 365),
        "sums_1m": (7, 180),
        "sums_10m": (7, 365),
        "sums_1h": (30, 730),
    }


def test_the_community_edition_takes_its_ages_from_the_same_table() -> None:
    text = code(COMMUNITY)
    assert "FROM sensors.lifecycle" in text
    assert re.search(r"compress_after => policy\.compress_after\b", text)
    assert re.search(r"drop_after => policy\.drop_after\b", text)
    assert not re.search(r"\b\d+\b|interval '", text, re.IGNORECASE), "an age of its own"


def test_no_policy_of_the_server_deletes_what_must_be_verified_summed_up_or_recorded_first() -> None:
    (kinds,) = re.findall(r"drop_after IS NOT NULL AND policy\.kind IN \(([^)]*)\)", code(COMMUNITY))
    assert set(re.findall(r"'(\w+)'", kinds)) == {"sums_10m", "sums_1h"}
    assert COMMUNITY.count("add_retention_policy(") == 1


@pytest.mark.parametrize("name", sorted(MIGRATIONS))
def test_migrations_run_on_the_apache_edition(name: str) -> None:
    assert not re.search(ONLY_COMMUNITY, code(MIGRATIONS[name]))
    assert re.search(ONLY_COMMUNITY, code(COMMUNITY)), "the pattern finds what it should"
