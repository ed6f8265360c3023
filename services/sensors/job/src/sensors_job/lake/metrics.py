"""The metrics of the lake's query, beside the job's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry


class LakeMetrics:
    """Counts what reached the lake and what kept it from it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics; the lag is unknown (NaN) until the lake has been reached."""
        self._rows = Counter("sensors_lake_rows", "Rows appended to the lake", registry=registry)
        self._failures = Counter(
            "sensors_lake_failures", "Failures that ended the lake's query", registry=registry
        )
        self._running = Gauge("sensors_lake_running", "1 while the lake's query runs", registry=registry)
        self._lag = Gauge(
            "sensors_lake_lag_messages",
            "Messages in the topic beyond the lake's last batch",
            registry=registry,
        )
        self._lag.set(float("nan"))
        self._next = Gauge(
            "sensors_lake_next_offset",
            "The first offset of a partition that the lake has not got",
            ["partition"],
            registry=registry,
        )
        self._finished = Gauge(
            "sensors_lake_last_batch_timestamp_seconds",
            "When the lake's last batch was committed",
            registry=registry,
        )

    def offsets(self, offsets: Mapping[int, int]) -> None:
        """Set the ledger's next offset of each partition."""
        for partition, offset in offsets.items():
            self._next.labels(partition).set(offset)

    def batch(self, rows: int) -> None:
        """Count a committed batch of `rows`."""
        self._rows.inc(rows)
        self._finished.set_to_current_time()

    def running(self, *, running: bool) -> None:
        """Set whether the query runs."""
        self._running.set(running)

    def failure(self) -> None:
        """Count a failure."""
        self._failures.inc()

    def lag(self, messages: int) -> None:
        """Set how many messages wait."""
        self._lag.set(messages)
