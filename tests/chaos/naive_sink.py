"""A deliberately naive sink, never deployed: what one writes who has not thought of being killed.

It reads the topic as the job does and judges by the same contract, but offsets and rows are committed one
after the other, in either order, and what it knows of earlier readings is in its memory. Without faults it is
exact. Killed between its two commits it loses the batch ("commit first") or writes it again ("insert first").

    naive_sink.py CONFIG    CONFIG: JSON {client, topic, prefix, group, offsets, database, order, status}
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped] # kafka-python has no type hints
from sensors_oracle.reference import Reference

PAUSE = 0.2  # seconds between the two commits, as of a sink that has other work to do there
READING = "INSERT INTO sensors.measurements VALUES (%s, %s, %s, %s, %s, %s)"
REJECT = "INSERT INTO sensors.rejects VALUES (%s, %s, %s, %s)"
COUNT = """
INSERT INTO sensors.counts AS c VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (topic, partition, sensor_id) DO UPDATE SET stored = c.stored + excluded.stored,
    duplicates = c.duplicates + excluded.duplicates, rejected = c.rejected + excluded.rejected
"""


class Sink:
    """Reads, judges and writes. The file `status` tells where it is, to those who want to kill it there."""

    def __init__(self, given: dict[str, Any]) -> None:
        """Connect, and begin at the group's offsets, or at the given ones where it has none."""
        self._given = given
        self._reference = Reference()
        self._database = psycopg2.connect(**given["database"])
        client = {**given["client"], "enable_auto_commit": False, "max_partition_fetch_bytes": 16 << 20}
        self._consumer = KafkaConsumer(group_id=given["group"], **client)
        self._places = [TopicPartition(given["topic"], int(partition)) for partition in given["offsets"]]
        self._consumer.assign(self._places)
        for place in self._places:
            if self._consumer.committed(place) is None:
                self._consumer.seek(place, given["offsets"][str(place.partition)])

    def run(self) -> None:
        """Go on for ever."""
        while True:
            self._tell("idle")
            found = self._consumer.poll(timeout_ms=1000, max_records=500)
            own = [record for records in found.values() for record in records if self._is_own(record)]
            if self._given["order"] == "commit first":
                self._consumer.commit()
                self._between(len(own))
                self._insert(own)
            else:
                self._insert(own)
                self._between(len(own))
                self._consumer.commit()

    def _is_own(self, record: Any) -> bool:  # noqa: ANN401 - kafka-python's
        mark = dict(record.headers).get("millrace-test", b"").decode()
        return bool(mark.startswith(f"{self._given['prefix']}/"))

    def _between(self, messages: int) -> None:
        if messages:
            self._tell("between")
            time.sleep(PAUSE)

    def _insert(self, records: list[Any]) -> None:
        with self._database, self._database.cursor() as cursor:
            for record in records:
                place = (record.partition, record.offset)
                appended = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                judged = self._reference.judge(record.value, appended)
                reading = judged.reading
                if judged.outcome == "stored" and reading:
                    row = (reading.sensor_id, reading.type, reading.event_time, reading.value, *place)
                    cursor.execute(READING, row)
                elif judged.reason:
                    cursor.execute(REJECT, (self._given["topic"], *place, judged.reason))
                counts = [judged.outcome == outcome for outcome in ("stored", "duplicate", "rejected")]
                cursor.execute(COUNT, (self._given["topic"], place[0], judged.sensor_id, *map(int, counts)))

    def _tell(self, phase: str) -> None:
        positions = {place.partition: self._consumer.position(place) for place in self._places}
        path = Path(self._given["status"])
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"phase": phase, "positions": positions}), encoding="utf-8")
        new.replace(path)


if __name__ == "__main__":
    Sink(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).run()
