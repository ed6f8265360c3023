"""The history of readings: what is asked for, and one sequence from two sources."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.config import parse_config
from sensors_job.batch import history
from sensors_job.batch.history import Period, Reading
from sensors_job.lake import command as lake_command

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PERIOD = Period(NOON, NOON + timedelta(hours=1))
CONFIG = {
    "lake": {"warehouse": "hdfs://spark-1:8020/lake"},
    "postgres": {"host": "d", "database": "s", "username": "u", "ca_file": "/ca.crt", "password": "p"},
}


def reading(second: float, sensor: str = "t-1", kind: str = "temperature") -> Reading:
    """Return a reading; its value and place follow from what identifies it, as in both stores."""
    return Reading(NOON + timedelta(seconds=second), sensor, kind, second, 0, int(second))


READINGS = st.lists(
    st.builds(reading, st.integers(0, 9), st.sampled_from(["a", "b"]), st.sampled_from(["p", "t"])),
    unique=True,
)


@given(READINGS, READINGS)
def test_two_sources_make_one_sorted_sequence_with_each_reading_once(
    database: list[Reading], kept: list[Reading]
) -> None:
    assert list(history.merged(sorted(database), sorted(kept))) == sorted({*database, *kept})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", NOON.replace(hour=0)),
        ("2026-11-21T12:00", NOON),
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21 13:00+01:00", NOON),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, expected: datetime) -> None:
    assert history.parse_time(text) == expected
    assert history.parse_time(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("sensor", "value", "condition"),
    [
        (None, None, "event_time < {1}"),
        ("t-1", "t-1", "sensor_id = {2}"),
        ("t-*", "t-", "left(sensor_id, length({2})) = {2}"),
    ],
)
@pytest.mark.parametrize("parameter", [history.PSYCOPG2, history.SPARK])
def test_both_stores_are_asked_for_the_same(
    sensor: str | None, value: str | None, condition: str, parameter: str
) -> None:
    text, values = history.statement(PERIOD._replace(sensor=sensor), "readings", parameter)
    assert values == {"begin": PERIOD.begin, "end": PERIOD.end} | ({"sensor": value} if value else {})
    asked = text.partition(" WHERE ")[2].partition(" ORDER BY ")[0].split(" AND ")
    names = [parameter.format(name) for name in ("begin", "end", "sensor")]
    assert asked[0] == f"event_time >= {names[0]}"
    assert asked[-1] == condition.format(*names)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stores: the database has seconds 2 and 3, the lake 1 and 2."""

    def store(*seconds: int) -> object:
        @contextmanager
        def opened(
            _settings: object, _period: Period, *, messages: bool = False
        ) -> Iterator[Iterator[Reading]]:
            yield (reading(second) for second in seconds for _ in range(1 + messages))

        return opened

    monkeypatch.setattr(history, "from_database", store(2, 3))
    monkeypatch.setattr(history, "from_lake", store(1, 2))


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(
    ("source", "seconds"),
    [("both", [1, 2, 3]), ("database", [2, 3]), ("lake", [1, 2]), ("messages", [1, 1, 2, 2])],
)
def test_readings_are_written_as_csv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, seconds: list[int]
) -> None:
    monkeypatch.setattr(history, "setup_logging", lambda *_: None)
    settings = parse_config(CONFIG, lake_command.MaintenanceSettings)
    stop: threading.Event = None  # type: ignore[assignment] # a history that ends by itself never asks
    assert history.run(PERIOD, source, settings, stop) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "event_time,sensor_id,type,value,source_partition,source_offset"
    assert lines == [
        f"2026-11-21T12:00:0{second}.000000+00:00,t-1,temperature,{second},0,{second}" for second in seconds
    ]


@pytest.mark.parametrize("wrong", [["--from", "yesterday"], ["--source", "tape"]])
def test_a_wrong_question_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        history.main([*wrong, "--config", str(tmp_path / "absent.json")])
    assert f"argument {wrong[0]}" in capsys.readouterr().err
