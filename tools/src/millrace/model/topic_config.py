"""The settings that a topic may have, by Kafka's names, and what their values may be.

Those of remote storage are left out: the platform has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.yamlio import Reader

COPIES = 32767  # Kafka has 16 bits for the number of a topic's copies
_INT = 2**31 - 1
_LONG = 2**63 - 1
# Whole numbers: lowest and highest. -1 stands for no limit.
_NUMBERS = {
    "compression.gzip.level": (-1, 9),
    "compression.lz4.level": (1, 17),
    "compression.zstd.level": (-131072, 22),
    "delete.retention.ms": (0, _LONG),
    "file.delete.delay.ms": (0, _LONG),
    "flush.messages": (1, _LONG),
    "flush.ms": (0, _LONG),
    "index.interval.bytes": (0, _INT),
    "max.compaction.lag.ms": (1, _LONG),
    "max.message.bytes": (0, _INT),
    "message.timestamp.after.max.ms": (0, _LONG),
    "message.timestamp.before.max.ms": (0, _LONG),
    "min.compaction.lag.ms": (0, _LONG),
    "min.insync.replicas": (1, COPIES),
    "retention.bytes": (-1, _LONG),
    "retention.ms": (-1, _LONG),
    "segment.bytes": (1024 * 1024, _INT),
    "segment.index.bytes": (4, _INT),
    "segment.jitter.ms": (0, _LONG),
    "segment.ms": (1, _LONG),
}
_FLAGS = ("preallocate", "unclean.leader.election.enable")
_CHOICES = {
    "cleanup.policy": ("compact", "compact,delete", "delete", "delete,compact"),
    "compression.type": ("gzip", "lz4", "producer", "snappy", "uncompressed", "zstd"),
    "message.timestamp.type": ("CreateTime", "LogAppendTime"),
}
_RATIO = "min.cleanable.dirty.ratio"
NAMES = (*_NUMBERS, *_FLAGS, *_CHOICES, _RATIO)


def read_topic_config(reader: Reader, value: object, where: str) -> Mapping[str, object]:
    """Return a topic's settings as they are written, noting what is wrong with them."""
    config = reader.fields(value, where, [], NAMES)
    for key, (low, high) in _NUMBERS.items():
        reader.integer(config, key, where, low, high)
    for key in _FLAGS:
        reader.flag(config, key, where)
    for key, choices in _CHOICES.items():
        reader.choice(config, key, where, choices)
    ratio = config.get(_RATIO, 0)
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
        reader.add(f"{where}.{_RATIO}", f"must be a number from 0 to 1, not {ratio!r}")
    return config
