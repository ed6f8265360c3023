"""What each Spark task does: one Kafka partition's share of a batch, in one transaction.

Runs in the executors' Python workers, which have pyarrow and psycopg2 and nothing of the driver's.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc

from sensors_job.judge import fast_path
from sensors_job.judge.baselines import judge
from sensors_job.judge.fast_path import UndecidedError
from sensors_job.store import statements
from sensors_job.store.copy_stream import copy_in
from sensors_job.store.database import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sensors_job.judge.rules import Unusual

STATS = (
    "partition int, first_offset long, next_offset long, stored long, duplicates long, rejected long, "
    "anomalies long, merges long, reasons string, seconds double, undecided boolean"
)
"""Schema of a task's one row; `reasons` is JSON {reason: count}, `merges` counts slow paths.

`undecided`: a message needs what the batch's plan left out (sensors_job.plans), so nothing was written.
"""


@dataclass(frozen=True)
class Target:
    """Where a task writes: libpq's connection arguments and the names of the three topics."""

    database: Mapping[str, Any] = field(repr=False)
    topic: str
    anomalies_topic: str
    rejected_topic: str


class LedgerError(RuntimeError):
    """The offsets of a task do not fit the ledger; writing them would lose or repeat messages."""


def writer(
    target: Target, unusual: Unusual | None = None, contract: fast_path.Contract | None = None
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Return the function for mapInArrow that writes a task's record batches and yields one row of STATS.

    `unusual`: the rules that go by a profile, None without any. `contract`: what the messages are judged by
    here, None where Spark has judged them.
    """

    def judged(batch: Any) -> Any:  # noqa: ANN401 - no types
        return fast_path.judge(batch, contract) if contract and batch.num_rows else batch

    def write(batches: Iterator[Any]) -> Iterator[Any]:
        started = time.monotonic()
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        partition = first.column("partition")[0].as_py()
        task = PartitionTask(target, partition, unusual)
        try:
            first = judged(first)
            with transaction(target.database, stages=True) as connection, connection.cursor() as cursor:
                task.begin(cursor)
                task.write(cursor, first)
                for batch in batches:
                    task.write(cursor, judged(batch))
                task.finish(cursor)
        except UndecidedError:
            for _ in batches:
                pass  # a Python worker that leaves input unread is not used again
            nothing = PartitionTask(target, partition)
            yield nothing.stats(time.monotonic() - started, undecided=True)
        else:
            yield task.stats(time.monotonic() - started)

    return write


class PartitionTask:
    """The transaction of one partition: begin, write each record batch, finish; the caller commits."""

    def __init__(self, target: Target, partition: int, unusual: Unusual | None = None) -> None:
        """Prepare for `partition`; nothing is read or written yet."""
        self._target = target
        self._partition = partition
        self._unusual = unusual
        self._first = self._next = -1
        self._written = 0
        self._stored: Counter[str] = Counter()
        self._duplicates: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._anomalies = self._merges = 0
        self._minutes: set[tuple[str, str, int]] = set()

    def begin(self, cursor: Any) -> None:  # noqa: ANN401 - psycopg2 has no types
        """Lock the ledger's row: from here to the commit no other task can write this partition."""
        cursor.execute(statements.LOCK, (self._target.topic, self._partition))
        row = cursor.fetchone()
        if row is None:
            message = f"{self._name} has no row in sensors.ledger; the job makes it at its start"
            raise LedgerError(message)
        self._first = self._next = row[0]

    def write(self, cursor: Any, batch: Any) -> None:  # noqa: ANN401 - no types
        """Write the part of `batch` that the ledger says is new."""
        batch = self._unseen(batch)
        if not batch.num_rows:
            return
        if self._written:
            cursor.execute(statements.CLEAR)
        self._written += 1
        inserted = self._measurements(cursor, batch)
        merged = inserted is not None
        names = self._names()
        if self._flag(cursor, batch):
            cursor.execute(statements.ANOMALIES, {**names, "merged": merged})
            self._anomalies += cursor.rowcount
        rejects = copy_in(cursor, "stage_rejects", batch.column("reject_line"))
        conflicts = inserted is not None and self._repeated(cursor, batch, inserted)
        if rejects or conflicts:
            cursor.execute(statements.REJECTS, names)
        self._count(batch)
        self._next += batch.num_rows

    def finish(self, cursor: Any) -> None:  # noqa: ANN401 - no types
        """Write counts and aggregates and advance the ledger, unless everything had been written before."""
        if not self._written:
            return
        sensors = sorted({*self._stored, *self._duplicates, *self._rejected})
        columns = [
            [counts[s] for s in sensors] for counts in (self._stored, self._duplicates, self._rejected)
        ]
        cursor.execute(statements.COUNTS, (self._target.topic, self._partition, sensors, *columns))
        self._aggregate(cursor)
        cursor.execute(statements.ADVANCE, (self._next, self._target.topic, self._partition))

    def stats(self, seconds: float, *, undecided: bool = False) -> Any:  # noqa: ANN401 - no types
        """Return the one-row record batch with the columns of STATS."""
        row = {
            "partition": pa.array([self._partition], pa.int32()),
            "first_offset": [self._first],
            "next_offset": [self._next],
            "stored": [self._stored.total()],
            "duplicates": [self._duplicates.total()],
            "rejected": [self._rejected.total()],
            "anomalies": [self._anomalies],
            "merges": [self._merges],
            "reasons": [json.dumps(self._reasons)],
            "seconds": [seconds],
            "undecided": [undecided],
        }
        return pa.RecordBatch.from_pydict(row)

    @property
    def _name(self) -> str:
        return f"{self._target.topic}/{self._partition}"

    def _names(self) -> dict[str, object]:
        return {
            "topic": self._target.topic,
            "partition": self._partition,
            "anomalies_topic": self._target.anomalies_topic,
            "rejected_topic": self._target.rejected_topic,
        }

    def _unseen(self, batch: Any) -> Any:  # noqa: ANN401 - no types
        """Return `batch` from the ledger's next offset on; LedgerError unless it is one gapless run."""
        if not batch.num_rows:
            return batch
        partitions, offsets = batch.column("partition"), batch.column("offset")
        if pc.min_max(partitions).as_py() != {"min": self._partition, "max": self._partition}:
            message = f"a task for partition {self._partition} got rows of others; is minPartitions set?"
            raise LedgerError(message)
        first = offsets[0].as_py()
        if len(offsets) > 1 and not pc.all(pc.equal(pc.pairwise_diff(offsets)[1:], 1)).as_py():
            message = f"{self._name}: offsets after {first} have a gap"
            raise LedgerError(message)
        if first > self._next:
            message = f"{self._name}: got offset {first}, the ledger's next is {self._next}"
            raise LedgerError(message)
        return batch.slice(min(self._next - first, batch.num_rows))

    def _flag(self, cursor: Any, batch: Any) -> bool:  # noqa: ANN401 - no types
        """Stage what rules flag: by thresholds as Spark has it, the unusual here; False for nothing."""
        columns = [batch.column("anomaly_line")]
        if self._unusual is not None:
            columns += judge(cursor, self._unusual).lines(batch)
        staged = [copy_in(cursor, "stage_anomalies", column) for column in columns]
        return any(staged)

    def _measurements(self, cursor: Any, batch: Any) -> int | None:  # noqa: ANN401 - no types
        """COPY the readings; where an identity repeats, merge them instead and return how many were new."""
        lines = batch.column("measurement_line")
        cursor.execute("SAVEPOINT readings")
        try:
            copy_in(cursor, statements.MEASUREMENTS, lines)
        except psycopg2.errors.UniqueViolation:
            cursor.execute("ROLLBACK TO SAVEPOINT readings")
            copy_in(cursor, "stage_measurements", lines)
            cursor.execute(statements.MERGE)
            inserted = cursor.rowcount
            cursor.execute(statements.ANALYZE)
            self._merges += 1
            return int(inserted)
        cursor.execute("RELEASE SAVEPOINT readings")
        return None

    def _repeated(self, cursor: Any, batch: Any, inserted: int) -> bool:  # noqa: ANN401 - no types
        """Count duplicates; stage other values as rejects with their bytes, True if there are any."""
        cursor.execute(statements.BOUNDS)
        bounds = cursor.fetchone()
        cursor.execute(statements.DUPLICATES, bounds)
        duplicates = dict(cursor.fetchall())
        cursor.execute(statements.CONFLICTS, bounds)
        conflicts = cursor.fetchall()
        accepted = batch.num_rows - batch.column("measurement_line").null_count
        if inserted + sum(duplicates.values()) + len(conflicts) != accepted:
            message = (
                f"{accepted} readings, but {inserted} new, {duplicates} repeated, {conflicts} in conflict"
            )
            raise LedgerError(message)
        for sensor_id, offset in conflicts:
            index = offset - self._next
            key, value = (batch.column(name)[index].as_py() for name in ("key", "value"))
            appended = batch.column("appended_ms")[index].as_py()
            cursor.execute(statements.CONFLICT_REJECTS, (sensor_id, offset, appended, key, value))
        rejected = Counter(sensor_id for sensor_id, _ in conflicts)
        self._duplicates.update(duplicates)
        self._rejected.update(rejected)
        self._stored.subtract(duplicates)
        self._stored.subtract(rejected)
        if conflicts:
            self._reasons["conflicting_value"] += len(conflicts)
        return bool(conflicts)

    def _aggregate(self, cursor: Any) -> None:  # noqa: ANN401 - no types
        """Recompute the minutes that this task's readings lie in, from all their raw rows."""
        if not self._minutes:
            return
        sensors, types, seconds = (list(column) for column in zip(*sorted(self._minutes), strict=True))
        touched = {"sensors": sensors, "types": types, "seconds": seconds}
        cursor.execute(statements.TOUCH, touched)
        cursor.execute(statements.RECOMPUTE, {**touched, "first": min(seconds), "end": max(seconds) + 60})

    def _count(self, batch: Any) -> None:  # noqa: ANN401 - no types
        """Count accepted and rejected rows by sensor and note the minutes; no loop over rows."""
        accepted = pa.table({name: batch.column(name) for name in ("sensor_id", "type", "minute")})
        keys = accepted.filter(pc.is_valid(batch.column("minute"))).group_by(accepted.column_names)
        self._minutes.update(
            (row["sensor_id"], row["type"], row["minute"]) for row in keys.aggregate([]).to_pylist()
        )
        reasons = batch.column("reason")
        table = pa.table({"sensor": batch.column("sensor_id"), "rejected": pc.is_valid(reasons)})
        groups = table.group_by("sensor").aggregate([("rejected", "count"), ("rejected", "sum")]).to_pydict()
        for sensor, total, rejected in zip(
            groups["sensor"], groups["rejected_count"], groups["rejected_sum"], strict=True
        ):
            self._stored[sensor] += total - rejected
            if rejected:
                self._rejected[sensor] += rejected
        for entry in pc.value_counts(reasons.drop_null()):
            self._reasons[entry["values"].as_py()] += entry["counts"].as_py()
