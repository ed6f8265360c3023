"""What Spark hands over of messages in Kafka, and the default rules, for tests of the job's plans."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from sensors_oracle import reference

from sensors_job.judge import rules

if TYPE_CHECKING:
    from datetime import datetime

pa = pytest.importorskip("pyarrow", reason="pyarrow is on the nodes")

PARTITION, FIRST = 2, 100
RULES = tuple(rules.Rule(**dataclasses.asdict(rule)) for rule in reference.DEFAULT_RULES)


def messages(*values: bytes | None, appended: datetime, key: bytes | None = None) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return a record batch of messages in offsets FIRST and following of a partition, all with one key."""
    return pa.RecordBatch.from_pydict(
        {
            "key": pa.array([key] * len(values), pa.binary()),
            "value": pa.array(values, pa.binary()),
            "partition": pa.array([PARTITION] * len(values), pa.int32()),
            "offset": pa.array(range(FIRST, FIRST + len(values)), pa.int64()),
            "timestamp": pa.array([appended] * len(values), pa.timestamp("us", "UTC")),
        }
    )
