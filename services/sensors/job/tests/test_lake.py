"""The lake's ledger and offsets, without Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from millrace_common.config import ConfigError, parse_config
from sensors_job.config import LakeSettings
from sensors_job.lake import rules as lake
from sensors_job.lake.rules import Entry, LedgerError, Step

TOPIC = "sensors.measurements"


def entry(snapshot_id: int, start: lake.Offsets, to: lake.Offsets, records: int = 10) -> Entry:
    return Entry(snapshot_id, 0, records, lake.summary(TOPIC, start, to))


def other(snapshot_id: int, records: int = 10) -> Entry:
    """Return a snapshot without ledger, such as a compaction's."""
    return Entry(snapshot_id, 0, records, None)


def test_the_newest_snapshot_with_offsets_is_the_ledger() -> None:
    history = [other(4), other(3), entry(2, {0: 3}, {0: 7, 1: 2}), entry(1, {0: 0}, {0: 3})]
    ledger = lake.find_ledger(history, None, TOPIC)
    assert ledger is not None
    assert (ledger.entry.snapshot_id, ledger.to) == (2, {0: 7, 1: 2})
    assert lake.find_ledger([], None, TOPIC) is None, "a new table"


def test_a_ledger_that_can_not_be_found_is_refused() -> None:
    for history in ([other(2), None], [other(2), other(1)]):
        with pytest.raises(LedgerError, match="When the lake's ledger is lost"):
            lake.find_ledger(history, None, TOPIC)


def test_the_tag_stands_in_for_a_broken_chain_only_if_no_row_has_come_since() -> None:
    tagged = entry(1, {0: 0}, {0: 3}, records=3)
    ledger = lake.find_ledger([other(5, records=3), None], tagged, TOPIC)
    assert ledger is not None
    assert ledger.to == {0: 3}
    with pytest.raises(LedgerError, match="is lost"):
        lake.find_ledger([other(5, records=4), None], tagged, TOPIC)


def test_a_ledger_of_another_topic_is_refused() -> None:
    with pytest.raises(LedgerError, match=r"of topic 'sensors\.measurements', not 'flights'"):
        lake.find_ledger([entry(1, {}, {0: 1})], None, "flights")


def test_commits_that_do_not_follow_one_another_are_refused() -> None:
    with pytest.raises(LedgerError, match="two jobs"):
        lake.find_ledger([entry(2, {0: 0}, {0: 3}), other(9), entry(1, {0: 0}, {0: 3})], None, TOPIC)
    restored = entry(2, {}, {0: 3})
    assert lake.find_ledger([restored, entry(1, {0: 0}, {0: 3})], None, TOPIC) is not None


@pytest.mark.parametrize(
    ("ledger", "start", "to", "step"),
    [
        ({0: 5, 1: 2}, {0: 5, 1: 2}, {0: 9, 1: 2}, Step({0: 5, 1: 2}, {0: 9, 1: 2}, None)),
        ({}, {0: 4}, {0: 9}, Step({0: 4}, {0: 9}, None)),
        ({0: 9}, {0: 5}, {0: 9}, None),
        ({0: 9}, {0: 5}, {0: 7}, None),
        (
            {0: 7, 1: 8},
            {0: 5, 1: 0},
            {0: 9, 1: 4},
            Step(
                {0: 7, 1: 8},
                {0: 9, 1: 8},
                "(partition = 0 AND offset >= 7) OR (partition = 1 AND offset >= 8)",
            ),
        ),
        ({0: 1, 5: 3}, {0: 1}, {0: 2}, Step({0: 1, 5: 3}, {0: 2, 5: 3}, None)),
    ],
)
def test_only_what_the_ledger_has_not_got_is_appended(
    ledger: lake.Offsets, start: lake.Offsets, to: lake.Offsets, step: Step | None
) -> None:
    assert lake.next_step(ledger, start, to) == step


def test_a_gap_or_an_unknown_beginning_is_refused() -> None:
    with pytest.raises(LedgerError, match="partition 0: the batch begins at 6, the ledger's next is 5"):
        lake.next_step({0: 5}, {0: 6}, {0: 9})
    with pytest.raises(LedgerError, match="partition 1: new"):
        lake.next_step({0: 5}, {0: 5}, {0: 9, 1: 4})


def test_the_query_starts_at_the_ledger_and_new_partitions_at_their_earliest_offset() -> None:
    available = {0: (2, 9), 1: (3, 8)}
    assert lake.starting_offsets({0: 5}, TOPIC, available) == {0: 5, 1: 3}
    for gone in (1, 10):
        with pytest.raises(LedgerError, match=f"sensors.measurements/0: the lake's next offset is {gone}"):
            lake.starting_offsets({0: gone}, TOPIC, available)


def test_the_offset_log_is_read_and_another_form_is_refused() -> None:
    text = 'v1\n{"batchWatermarkMs":0}\n{"sensors.measurements":{"1":4,"0":7}}'
    assert lake.parse_offset_log(text, TOPIC) == {0: 7, 1: 4}
    for wrong in (text.replace("v1", "v2"), text + "\n{}", ""):
        with pytest.raises(ValueError, match="form that is not known"):
            lake.parse_offset_log(wrong, TOPIC)


def settings(**changes: object) -> LakeSettings:
    return parse_config({"warehouse": "hdfs://spark-1:8020/lake", **changes}, LakeSettings)


def test_spark_gets_the_catalog_and_the_client_of_the_file_system() -> None:
    conf = lake.session_conf(settings(hadoop={"dfs.replication": "2"}))
    assert conf["spark.sql.catalog.lake.warehouse"] == "hdfs://spark-1:8020/lake"
    assert conf["spark.sql.catalog.lake.cache-enabled"] == "false"
    assert conf["spark.hadoop.dfs.replication"] == "2"


def test_the_pools_of_both_queries_are_in_the_file_that_spark_is_given() -> None:
    path = lake.session_conf(settings())["spark.scheduler.allocation.file"].removeprefix("file://")
    pools = ET.parse(Path(path)).getroot()  # noqa: S314 - our own file
    share = {pool.get("name"): int(pool.findtext("minShare", "")) for pool in pools}
    assert share == {"database": 3, "lake": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warehouse": "/lake"}, "warehouse: expected a text like"),
        ({"table": "readings"}, "table: expected a text like"),
        ({"trigger_seconds": 0}, "trigger_seconds: expected at least 1"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


def test_properties_of_a_table_can_be_overruled() -> None:
    statement = lake.create_table("lake.sensors.readings", {"write.parquet.compression-level": "19"})
    assert "'write.parquet.compression-level' = '19'" in statement
    assert "'write.parquet.page-version' = 'v2'" in statement


def test_the_summary_is_json_that_a_person_can_read() -> None:
    assert json.loads(lake.summary(TOPIC, {1: 2, 0: 1}, {0: 3, 1: 4})) == {
        "topic": TOPIC,
        "start": {"0": 1, "1": 2},
        "to": {"0": 3, "1": 4},
    }
