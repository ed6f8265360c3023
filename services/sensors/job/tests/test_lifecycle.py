"""The lifecycle's rules, and what it does with two stores that are only in memory."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_common.config import ConfigError, parse_config
from sensors_job.lifecycle import command as lifecycle_command
from sensors_job.lifecycle import policy as lifecycle
from sensors_job.lifecycle.command import LifecycleSettings
from sensors_job.lifecycle.policy import Chunk, Digest, Group, Policy, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensors_job.lifecycle.stores import Database

NOW = datetime(2026, 11, 22, 3, 40, tzinfo=UTC)
DAY = timedelta(days=1)
POSTGRES = {"host": "d", "database": "s", "username": "u", "ca_file": "/ca.crt", "password": "p"}
LAKE = {"warehouse": "hdfs://spark-1:8020/lake"}
FIRST, SECOND = (Group("t-1", "voltage", 1_700_000_000 + hour * 3600) for hour in range(2))


def settings(**more: object) -> LifecycleSettings:
    """Return settings with a lake, unless told otherwise."""
    return parse_config({"postgres": POSTGRES, "lake": LAKE} | more, LifecycleSettings)


def policy(kind: str, days: float | None, interval: timedelta = DAY) -> Policy:
    """Return a policy that drops after so many days."""
    return Policy(kind, NOW, None if days is None else NOW - days * DAY, interval)


def chunk(kind: str, end: float, length: float = 1) -> Chunk:
    """Return a chunk that ended so many days ago."""
    return Chunk(kind, NOW - (end + length) * DAY, NOW - end * DAY)


KINDS = st.sampled_from(["measurements", "anomalies", "sums_1m", "sums_10m", "sums_1h"])
POLICIES = st.dictionaries(KINDS, st.none() | st.integers(1, 200)).map(
    lambda kept: [policy(kind, days) for kind, days in kept.items()]
)
CHUNKS = st.lists(st.builds(chunk, KINDS, st.integers(-2, 210)))


@given(POLICIES, CHUNKS)
def test_a_chunk_is_due_once_its_last_row_is_past_its_time(
    policies: list[Policy], chunks: list[Chunk]
) -> None:
    found = lifecycle.due(policies, chunks)
    ages = {each.kind: None if each.cutoff is None else NOW - each.cutoff for each in policies}
    for each in chunks:
        age = ages.get(each.kind)
        assert (each in found) == (age is not None and NOW - each.end >= age)
    for one, other in pairwise(found):
        assert one.kind != other.kind or one.begin <= other.begin


@given(POLICIES, st.integers(0, 60), st.integers(0, 200))
def test_what_is_not_refused_never_drops_the_minute_of_a_reading_that_may_still_come(
    policies: list[Policy], late: int, age: int
) -> None:
    """A reading `age` days old is stored now: all that its minute is computed from must be there."""
    if lifecycle.refusals(policies, late * DAY) or age > late:
        return
    around = [chunk(kind, age - 1) for kind in ("measurements", "anomalies", "sums_1m")]
    assert lifecycle.due(policies, around) == []


@pytest.mark.parametrize("kind", ["measurements", "anomalies", "sums_1m"])
def test_the_limit_is_lateness_and_a_chunk(kind: str) -> None:
    assert lifecycle.refusals([policy(kind, 51, 7 * DAY)], 44 * DAY) == []
    (line,) = lifecycle.refusals([policy(kind, 50.99, 7 * DAY)], 44 * DAY)
    assert line.startswith(f"{kind}: ")
    assert "51 days" in line


def test_sums_of_longer_periods_may_go_early_and_everything_may_stay() -> None:
    policies = [policy("sums_10m", 1), policy("sums_1h", 1), policy("measurements", None)]
    assert lifecycle.refusals(policies, 44 * DAY) == []


DIGESTS = st.dictionaries(
    st.builds(Group, st.sampled_from(["a", "b"]), st.just("t"), st.integers(0, 3)),
    st.builds(Digest, st.integers(1, 3), st.integers(0, 3)),
)


@given(DIGESTS, DIGESTS)
def test_the_database_differs_unless_the_lake_has_each_of_its_groups(
    database: dict[Group, Digest], kept: dict[Group, Digest]
) -> None:
    found = lifecycle.differences(database, kept)
    assert {one.group for one in found} == {key for key in database if database[key] != kept.get(key)}
    assert lifecycle.differences(database, kept | database) == []
    assert lifecycle.total(kept[group] for group in kept) == (
        sum(one.readings for one in kept.values()),
        sum(one.digest for one in kept.values()),
    )


def test_a_difference_says_what_and_where() -> None:
    texts = [
        str(lifecycle.Difference(FIRST, Digest(3, 1), held)) for held in (None, Digest(2, 1), Digest(3, 2))
    ]
    assert [text.partition(": ")[0] for text in texts] == ["t-1 voltage 2023-11-14T22"] * 3
    assert [text.partition("in the database, ")[2] for text in texts] == [
        "0 in the lake",
        "2 in the lake",
        "3 in the lake, of other values or times",
    ]


class Stores:
    """Both stores: one chunk of readings, one of anomalies; what is called is written down."""

    def __init__(self) -> None:
        """Let both hold the same, and all of it be old."""
        self.kept = [policy("measurements", 90), policy("anomalies", 365, 7 * DAY)]
        self.all_chunks = [chunk("measurements", 90), chunk("anomalies", 365, 7), chunk("measurements", 89)]
        self.database = {FIRST: Digest(3, 11), SECOND: Digest(2, 7)}
        self.lake: dict[Group, Digest] | None = self.database | {Group("test-1", "voltage", 0): Digest(9, 9)}
        self.late: dict[Group, Digest] = {}
        self.calls: list[tuple[Any, ...]] = []

    def policies(self) -> list[Policy]:
        """Return the policies."""
        return self.kept

    def chunks(self) -> list[Chunk]:
        """Return the chunks that were not dropped."""
        return self.all_chunks

    def digests(self, _chunk: Chunk) -> dict[Group, Digest]:
        """Return what the database holds."""
        return dict(self.database)

    def record(self, _chunk: Chunk, held: Digest, held_by: str) -> None:
        """Record; after that, what comes late is there."""
        self.calls.append(("record", held, held_by))
        self.database |= self.late

    def drop_verified(self, which: Chunk) -> bool:
        """Drop unless it has changed."""
        held = [call[1] for call in self.calls if call[0] == "record"][-1]
        if lifecycle.total(self.database.values()) != held:
            return False
        self.calls.append(("drop", which.kind))
        return True

    def drop_old(self, which: Chunk) -> None:
        """Drop."""
        self.calls.append(("drop", which.kind))

    def clean(self, chosen: LifecycleSettings) -> bool:
        """Run the lifecycle on these stores."""
        database: Database = self  # type: ignore[assignment] # all of it that is used
        return lifecycle_command.clean(database, chosen)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    made = Stores()

    @contextmanager
    def opened(chosen: LifecycleSettings) -> Iterator[object]:
        if chosen.lake is None:
            yield None
            return
        made.calls.append(("open",))
        if made.lake is None:
            message = "the NameNode is away"
            raise ConnectionError(message)
        yield lambda _chunk: made.lake

    monkeypatch.setattr(lifecycle_command, "opened_lake", opened)
    return made


RECORDED = ("record", Digest(5, 18), "lake")


def test_what_both_have_is_dropped_and_extra_rows_of_the_lake_do_not_count(stores: Stores) -> None:
    assert stores.clean(settings())
    assert stores.calls == [("drop", "anomalies"), ("open",), RECORDED, ("drop", "measurements")]


def test_the_lake_is_left_alone_while_no_readings_are_due(stores: Stores) -> None:
    del stores.all_chunks[0]
    assert stores.clean(settings())
    assert stores.calls == [("drop", "anomalies")]


@pytest.mark.parametrize("held", [None, Digest(2, 8), Digest(3, 7), Digest(1, 7)])
def test_a_chunk_that_the_lake_does_not_hold_is_kept_and_told(
    stores: Stores, held: Digest | None, caplog: pytest.LogCaptureFixture
) -> None:
    stores.lake = {FIRST: Digest(3, 11)} | ({SECOND: held} if held else {})
    with caplog.at_level(logging.INFO):
        assert not stores.clean(settings())
    assert stores.calls == [("drop", "anomalies"), ("open",)]
    (told,) = [record for record in caplog.records if "lacks readings" in record.getMessage()]
    (line,) = told.fields["first"]  # type: ignore[attr-defined] # of millrace_common.logs
    assert line.startswith("t-1 voltage 2023-11-14T23: 2 in the database, ")


@pytest.mark.parametrize("late", [{FIRST: Digest(4, 12)}, {Group("t-2", "voltage", 0): Digest(1, 1)}])
def test_a_chunk_that_changes_after_it_was_compared_is_kept(
    stores: Stores, late: dict[Group, Digest], caplog: pytest.LogCaptureFixture
) -> None:
    stores.late = late
    assert not stores.clean(settings())
    assert stores.calls == [("drop", "anomalies"), ("open",), RECORDED]
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "a chunk has changed while it was verified",
        "the lake lacks readings of a chunk",
        "chunks of readings are kept",
    ]


def test_while_the_lake_is_away_no_readings_are_dropped(stores: Stores) -> None:
    stores.lake = None
    with pytest.raises(ConnectionError):
        stores.clean(settings())
    assert stores.calls == [("drop", "anomalies"), ("open",)]


def test_a_policy_that_is_refused_stops_everything(stores: Stores) -> None:
    stores.kept[0] = policy("measurements", 44.9)
    with pytest.raises(PolicyError, match=r"nothing is deleted.*measurements: .* 45 days"):
        stores.clean(settings())
    assert stores.calls == []
    assert stores.clean(settings(max_wait_seconds=13 * 86_400))


def test_without_a_lake_readings_stay_unless_the_settings_say_so(stores: Stores) -> None:
    assert stores.clean(settings(lake=None))
    assert stores.calls == [("drop", "anomalies")]
    assert stores.clean(settings(lake=None, drop_unverified=True))
    assert stores.calls[2:] == [("record", Digest(5, 18), "nothing"), ("drop", "measurements")]


def test_a_lake_is_asked_where_there_is_one() -> None:
    with pytest.raises(ConfigError, match="drop_unverified: is for an environment without a lake"):
        settings(drop_unverified=True)
