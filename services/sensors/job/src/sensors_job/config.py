"""The job's settings, as the JSON file that `--config` names."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - load_config reads the annotations at run time
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from millrace_common.config import ConfigError, setting
from millrace_common.http import HttpSettings  # noqa: TC001 - as above
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - as above
from millrace_common.postgres import PostgresSettings  # noqa: TC001 - as above

DEFAULT_TYPES = {"temperature": "°C", "pressure": "hPa", "voltage": "V"}


@dataclass(frozen=True)
class Topics:
    """Where messages come from, and where the relay is to publish what the job puts into the outbox."""

    measurements: str = "sensors.measurements"
    anomalies: str = "sensors.anomalies"
    rejected: str = "sensors.rejected"


@dataclass(frozen=True)
class Limits:
    """The configurable limits of the message contract."""

    max_value_bytes: int = setting(65_536, minimum=1)
    max_future_seconds: int = setting(60, minimum=0)
    max_past_seconds: int = setting(30 * 86_400, minimum=0)


@dataclass(frozen=True)
class BusinessHours:
    """Business hours: on ISO `days`, from `start` o'clock until before `end`, in `zone`."""

    zone: str = "UTC"
    start: int = setting(8, minimum=0, maximum=23)
    end: int = setting(18, minimum=1, maximum=24)
    days: tuple[int, ...] = (1, 2, 3, 4, 5)

    def __post_init__(self) -> None:
        """Check what a single field can't say."""
        errors = []
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError):
            errors.append(f"zone: expected a time zone like Europe/Berlin, got {self.zone!r}")
        if self.end <= self.start:
            errors.append(f"end: expected more than start ({self.start}), got {self.end}")
        if not self.days or not set(self.days) <= set(range(1, 8)):
            errors.append("days: expected ISO weekdays from 1 (Monday) to 7")
        if errors:
            raise ConfigError("\n".join(errors))


@dataclass(frozen=True)
class LakeSettings:
    """The Iceberg table that all valid messages are appended to, and how often."""

    warehouse: str = setting(pattern=r"(hdfs|file)://.+")
    """The directory of the catalog, as a URI."""
    hadoop: Mapping[str, str] = field(default_factory=dict)
    """Settings of the file system's client, named as in Hadoop's own files."""
    catalog: str = setting("lake", pattern="[a-z][a-z0-9_]*")
    table: str = setting("sensors.readings", pattern=r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
    properties: Mapping[str, str] = field(default_factory=dict)
    """Properties of a table that is made, over those of sensors_job.lake.rules."""
    trigger_seconds: int = setting(60, minimum=1)
    max_offsets_per_trigger: int = setting(300_000, minimum=1)
    first_pause_seconds: int = setting(5, minimum=1)
    longest_pause_seconds: int = setting(300, minimum=1)
    """A query that failed is started again after the first pause; each next one is twice as long."""

    @property
    def name(self) -> str:
        """The table with its catalog."""
        return f"{self.catalog}.{self.table}"


@dataclass(frozen=True)
class JobSettings:
    """All settings of the job; times in the unit that the name says."""

    kafka: KafkaSettings
    postgres: PostgresSettings
    """For the driver and for every executor: `ca_file` is a path on both."""
    http: HttpSettings
    run_directory: str
    topics: Topics = field(default_factory=Topics)
    group_prefix: str = "sensors-job"
    limits: Limits = field(default_factory=Limits)
    types: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_TYPES))
    business_hours: BusinessHours = field(default_factory=BusinessHours)
    trigger_ms: int = setting(1000, minimum=0)
    max_offsets_per_trigger: int = setting(500_000, minimum=1)
    batch_timeout_seconds: int = setting(300, minimum=1)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    spark: Mapping[str, str] = field(default_factory=dict)
    lake: LakeSettings | None = None
    """None where there is no HDFS: then nothing is appended to a lake."""
