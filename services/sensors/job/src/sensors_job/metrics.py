"""The job's metrics, for Prometheus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts what batches did; one instance per process."""

    def __init__(self) -> None:
        """Register the metrics in a registry of their own."""
        self.registry = CollectorRegistry()
        self._messages = Counter(
            "sensors_job_messages", "Messages by outcome", ["outcome"], registry=self.registry
        )
        self._rejected = Counter(
            "sensors_job_rejects", "Rejected messages by reason", ["reason"], registry=self.registry
        )
        self._anomalies = Counter("sensors_job_anomalies", "Anomalies found", registry=self.registry)
        self._merges = Counter(
            "sensors_job_merges",
            "Record batches that held a repeated reading and took the slow path",
            registry=self.registry,
        )
        self._batches = Counter(
            "sensors_job_batches", "Batches by the plan that decided them", ["plan"], registry=self.registry
        )
        self._seconds = Histogram(
            "sensors_job_batch_seconds", "Duration of a batch", buckets=BUCKETS, registry=self.registry
        )
        self._rules = Gauge(
            "sensors_job_rules_version", "Version of the rules in use", registry=self.registry
        )
        self._lag = Gauge(
            "sensors_job_lag_messages", "Messages in the topic beyond the last batch", registry=self.registry
        )
        self._finished = Gauge(
            "sensors_job_last_batch_timestamp_seconds", "When the last batch ended", registry=self.registry
        )

    def batch(self, rows: Sequence[Mapping[str, Any]], seconds: float, rules_version: int) -> dict[str, Any]:
        """Add what the tasks of a batch report (rows of sink.STATS); return their totals for the log."""
        totals = {
            name: sum(row[name] for row in rows)
            for name in ("stored", "duplicates", "rejected", "anomalies", "merges")
        }
        for name in ("stored", "duplicates", "rejected"):
            self._messages.labels(name).inc(totals[name])
        for row in rows:
            for reason, count in json.loads(row["reasons"]).items():
                self._rejected.labels(reason).inc(count)
        self._anomalies.inc(totals["anomalies"])
        self._merges.inc(totals["merges"])
        self._seconds.observe(seconds)
        self._rules.set(rules_version)
        self._finished.set_to_current_time()
        return totals | {"partitions": {str(row["partition"]): row["next_offset"] for row in rows}}

    def plan(self, name: str) -> None:
        """Count a batch for the plan that decided it."""
        self._batches.labels(name).inc()

    def lag(self, messages: int) -> None:
        """Set how many messages wait."""
        self._lag.set(messages)
