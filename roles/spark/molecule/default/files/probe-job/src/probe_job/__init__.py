"""A job for the role's scenario: sums numbers on the executors and writes down how often, who and what."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

RESULT = Path("/var/lib/probe-job/result.json")


def sums(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On an executor: give each batch's sum and the host it was made on."""
    import pyarrow as pa  # noqa: PLC0415 - the executors' own
    import pyarrow.compute as pc  # noqa: PLC0415

    for batch in batches:
        total = pc.sum(batch.column(0)).as_py() or 0
        yield pa.RecordBatch.from_pydict({"total": [total], "host": [socket.gethostname()]})


def main() -> None:
    """Sum 0 to 99,999 in four tasks, again and again."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - found through PYTHONPATH, on driver hosts only

    session = SparkSession.builder.getOrCreate()
    numbers = session.range(0, 100_000, 1, 4)
    for count in range(1_000_000):
        rows = numbers.mapInArrow(sums, "total long, host string").collect()
        result = {
            "application": session.sparkContext.applicationId,
            "count": count,
            "hosts": sorted({row.host for row in rows}),
            "total": sum(row.total for row in rows),
        }
        written = RESULT.with_suffix(".new")
        written.write_text(json.dumps(result))
        written.replace(RESULT)
        time.sleep(1)
