"""Part (c): bytes a reading takes in the database and in the lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import probe
import stage
from figures import Figure, at_most, rounded

from millrace.access import remote
from millrace.console import MillraceError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = "bytes a reading"
SIZES = """
SELECT s.table_bytes, s.index_bytes, s.toast_bytes, s.total_bytes, c.rows,
    (SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_schema = 'sensors'
        AND hypertable_name = 'measurements') AS chunks
FROM hypertable_detailed_size('sensors.measurements') s, (SELECT count(*) AS rows FROM sensors.measurements) c
"""
LICENSE = "SELECT current_setting('timescaledb.license') AS license"
COMPRESSION = """
SELECT sum(before_compression_total_bytes) AS before, sum(after_compression_total_bytes) AS after
FROM hypertable_compression_stats('sensors.measurements')
"""
GOAL = 4.0
LEAST_ROWS = 10_000  # fewer say more about empty pages than about readings


def measure() -> list[Figure]:
    """Measure both, the lake after its maintenance."""
    (sizes,) = probe.query(SIZES)
    return [*raw(sizes), compressed(raw(sizes)), *lake()]


def raw(sizes: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of the hypertable's chunks: total, table and index."""
    rows = sizes["rows"]
    how = f"{rows:,} rows in {sizes['chunks']} chunks of the lab's own database, hypertable_detailed_size"
    names = {"all": "total_bytes", "rows alone": "table_bytes", "indexes": "index_bytes"}
    if rows < LEAST_ROWS:
        return [Figure("c: raw chunks, all", None, UNIT, f"not measured: {how}, too few to say anything")]
    return [
        Figure(f"c: raw chunks, {name}", rounded(sizes[key] / rows), UNIT, how) for name, key in names.items()
    ]


def compressed(raw_figures: list[Figure]) -> Figure:
    """Return the figure of compressed chunks: what the raw ones take, times what compression leaves of it."""
    name = "c: compressed chunks"
    (found,) = probe.query(LICENSE)
    if found["license"] == "apache":
        why = "not available: TimescaleDB's Apache edition, which Debian has, does not compress"
        return Figure(name, None, UNIT, why)
    (stats,) = probe.query(COMPRESSION)
    before = raw_figures[0].value
    if not stats["before"] or not isinstance(before, float | int):
        return Figure(name, None, UNIT, "not measured: no chunk has been compressed yet")
    how = "raw chunks, times the share that hypertable_compression_stats says is left"
    return Figure(name, rounded(before * float(stats["after"]) / float(stats["before"])), UNIT, how)


def lake() -> list[Figure]:
    """Do the lake's maintenance, which compacts, and return the figure of its data files."""
    if stage.MAINTENANCE not in probe.ENVIRONMENT.catalogue.services:
        return [Figure("c: the lake", None, UNIT, "not measured: this environment has no lake")]
    return [lake_size(remote.run(probe.APPS, ["sudo", "sensors-lake", "--local"]))]


def lake_size(said: str) -> Figure:
    """Return the figure from the maintenance's log; MillraceError where it does not tell the size."""
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    sizes = [event["fields"] for event in events if event.get("message") == "the lake's size"]
    if not sizes or not sizes[-1].get("rows"):
        message = f"sensors-lake did not say what the lake's size is: {said[-500:]}"
        raise MillraceError(message)
    size = sizes[-1]
    how = (
        f"{size['rows']:,} rows in {size['files']} data files after compaction, each counted once (HDFS "
        "keeps two copies), without Iceberg's metadata; readings of tests and of make bench are among them, "
        "whose times compress less than the generator's"
    )
    return at_most(Figure("c: the lake", rounded(size["bytes"] / size["rows"]), UNIT, how), GOAL)
