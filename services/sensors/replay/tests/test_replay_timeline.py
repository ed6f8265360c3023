"""Which hour is due when, the messages, and the progress on disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensors_oracle.reference import Reading, judge

from millrace_common.config import ConfigError, parse_config
from sensors_replay.settings import Settings
from sensors_replay.store import Store, StoreError
from sensors_replay.table import Observation, Table
from sensors_replay.timeline import Progress, Timeline, go_on, messages, next_second

NOW = 1_795_287_600_000_000
MOMENTS = st.integers(0, 4_000_000_000_000_000)
HOURS = st.integers(0, 10_000_000)
INTERVALS = st.integers(1000, 360_000_000_000)
TIMELINES = st.builds(Timeline, hour=HOURS, time=MOMENTS, interval=INTERVALS)
TABLE = Table(
    datetime(2013, 1, 1, 6, tzinfo=UTC),
    (
        (Observation("ewr", "temperature", 3.9), Observation("jfk", "pressure", 1012.6)),
        (Observation("ewr", "temperature", 4.4),),
        (),
    ),
)


@given(timeline=TIMELINES, steps=st.integers(0, 100_000))
def test_times_grow_by_the_interval(timeline: Timeline, steps: int) -> None:
    hour = timeline.hour + steps
    assert timeline.at(hour + 1) - timeline.at(hour) == timeline.interval
    assert timeline.at(timeline.hour) == timeline.time


@given(timeline=TIMELINES, now=MOMENTS)
def test_due_are_exactly_the_hours_whose_time_has_come(timeline: Timeline, now: int) -> None:
    first = timeline.due(now)
    assert timeline.at(first - 1) <= now < timeline.at(first)


@given(
    timeline=TIMELINES,
    steps=st.integers(1, 100_000),
    interval=INTERVALS,
    now=MOMENTS,
    lag=st.integers(1, 10**13),
)
def test_going_on_never_reaches_back_and_never_leaves_an_hour_out(
    timeline: Timeline, steps: int, interval: int, now: int, lag: int
) -> None:
    hour = timeline.hour + steps
    chosen = go_on(timeline, hour, interval, now, lag)
    assert chosen.interval == interval
    assert chosen.at(hour) > timeline.at(hour - 1)
    if interval == timeline.interval and now <= timeline.at(hour) + lag:
        assert chosen == timeline
    else:
        assert chosen.at(hour) > now
        assert chosen.at(hour) % 1_000_000 == 0


def test_what_goes_on_from_now_begins_within_a_second() -> None:
    old = Timeline(0, NOW, 10_000_000)
    late = go_on(old, 5, 10_000_000, NOW + 3_600_000_000 * 2, 3_600_000_000)
    assert late == Timeline(5, NOW + 7_201_000_000, 10_000_000)
    faster = go_on(Timeline(0, NOW, 3_600_000_000), 1, 10_000_000, NOW + 5_000_000, 3_600_000_000)
    assert faster == Timeline(1, NOW + 6_000_000, 10_000_000)
    assert next_second(NOW) == NOW + 1_000_000


def test_messages_are_readings_of_now_and_the_table_repeats() -> None:
    batch = Progress(Timeline(1, NOW, 10_000_000), 3, 5)
    made = list(messages(TABLE, "weather-", batch))
    assert [key for key, _ in made] == [
        b"weather-ewr-temperature",
        b"weather-jfk-pressure",
        b"weather-ewr-temperature",
    ]
    appended = datetime(2026, 11, 21, 19, 1, tzinfo=UTC)
    assert [judge(value, appended) for _, value in made] == [
        Reading("weather-ewr-temperature", "temperature", 3.9, datetime(2026, 11, 21, 19, 0, 20, tzinfo=UTC)),
        Reading("weather-jfk-pressure", "pressure", 1012.6, datetime(2026, 11, 21, 19, 0, 20, tzinfo=UTC)),
        Reading("weather-ewr-temperature", "temperature", 4.4, datetime(2026, 11, 21, 19, 0, 30, tzinfo=UTC)),
    ]


@given(timeline=TIMELINES, first=HOURS, more=st.integers(0, 500))
def test_what_was_saved_is_loaded(timeline: Timeline, first: int, more: int) -> None:
    progress = Progress(timeline, first, first + more)
    with TemporaryDirectory() as folder:
        store = Store(Path(folder, "progress.json"))
        assert store.load() is None
        store.save(Progress(timeline, 0, 0))
        store.save(progress)
        assert store.load() == progress
        assert [path.name for path in Path(folder).iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"first": 2, "until": 1, "hour": 0, "time": 0, "interval": 1}',
        '{"first": 0, "until": 1, "hour": 0, "time": 0, "interval": 0}',
        '{"first": "x"}',
    ],
)
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "progress.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match=r"progress\.json: holds no progress: .*; delete it"):
        Store(path).load()


def config(**changes: object) -> dict[str, object]:
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    return {"kafka": kafka, "http": {"port": 0}, "table": "weather.csv", "state": "progress.json"} | changes


def test_default_is_an_hour_every_ten_seconds() -> None:
    parsed = parse_config(config(), Settings)
    assert (parsed.interval_us(), parsed.prefix) == (10_000_000, "weather-")


@pytest.mark.parametrize(
    ("speed", "interval"), [(1, 3_600_000_000), (7, 514_285_714), (3_600_000, 1000), (0.01, 360_000_000_000)]
)
def test_any_speed(speed: float, interval: int) -> None:
    assert parse_config(config(speed=speed), Settings).interval_us() == interval


@pytest.mark.parametrize(
    "changes",
    [
        {"speed": 0},
        {"speed": 3_600_001},
        {"prefix": "Weather-"},
        {"prefix": "w" * 41},
        {"max_lag_s": 3_000_000},
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        parse_config(config(**changes), Settings)


def test_the_longest_prefix_still_gives_valid_ids() -> None:
    prefix = "w" * 40
    parse_config(config(prefix=prefix), Settings)
    table = Table(TABLE.start, ((Observation("a" * 8, "temperature", 1.0),),))
    ((key, value),) = messages(table, prefix, Progress(Timeline(0, NOW, 1000), 0, 1))
    assert isinstance(judge(value, datetime(2026, 11, 21, 19, tzinfo=UTC)), Reading)
    assert json.loads(value)["sensor_id"] == key.decode()
