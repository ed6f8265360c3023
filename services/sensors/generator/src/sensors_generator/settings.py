"""The settings of the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millrace_common.buffer import BufferSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.config import ConfigError, setting
from millrace_common.http import HttpSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - the settings reader resolves it at run time
from sensors_contract.readings import is_sensor_id
from sensors_generator.signals import PROFILES

_DEFAULT_INTERVAL_MS = 200.0


@dataclass(frozen=True)
class SensorSettings:
    """One sensor: its id and its type."""

    sensor_id: str
    type: Literal["temperature", "pressure", "voltage"]

    def __post_init__(self) -> None:
        """Refuse an id that the contract refuses."""
        if not is_sensor_id(self.sensor_id):
            message = f"sensor_id: expected a text like temperature-1, got {self.sensor_id!r}"
            raise ConfigError(message)


@dataclass(frozen=True)
class Settings:
    """What to send, how often and where to.

    Sensors are either listed (`sensors`) or counted (`count`: temperature-1, pressure-1, voltage-1,
    temperature-2, …). `interval_ms` is the time between two readings of one sensor; `rate`, in readings a
    second of all sensors together, may be given in its place.
    """

    kafka: KafkaSettings
    http: HttpSettings
    buffer: BufferSettings
    """Where readings are kept until Kafka has acknowledged them."""
    topic: str = setting("sensors.measurements", minimum=1)
    sensors: tuple[SensorSettings, ...] | None = None
    count: int | None = setting(None, minimum=1, maximum=100_000)
    interval_ms: float | None = setting(None, minimum=1)
    rate: float | None = setting(None, minimum=0.001, maximum=100_000)
    seed: int = 1
    anomaly_share: float = setting(0.01, minimum=0, maximum=1)
    limit: int | None = setting(None, minimum=1)
    """Messages in all; then the process ends (for tests)."""
    linger_ms: int = setting(5, minimum=0)
    healthy_within_s: float = setting(15.0, minimum=1)
    """Unhealthy when a reading has waited for Kafka for this long (or for three intervals, if longer)."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def __post_init__(self) -> None:
        """Hold the keys against one another."""
        errors = []
        if self.sensors is not None and self.count is not None:
            errors.append("count: give either sensors or count")
        if self.interval_ms is not None and self.rate is not None:
            errors.append("rate: give either interval_ms or rate")
        if self.sensors is not None:
            ids = [sensor.sensor_id for sensor in self.sensors]
            twice = sorted({name for name in ids if ids.count(name) > 1})
            errors += [f"sensors: {name!r} is there twice; ids must differ" for name in twice]
            if not ids:
                errors.append("sensors: expected at least one sensor, got an empty list")
        if errors:
            raise ConfigError("\n".join(errors))

    def all_sensors(self) -> tuple[SensorSettings, ...]:
        """Return the sensors, listed or counted."""
        if self.sensors is not None:
            return self.sensors
        kinds: tuple[Literal["temperature", "pressure", "voltage"], ...] = (
            "temperature",
            "pressure",
            "voltage",
        )
        return tuple(
            SensorSettings(f"{kinds[i % len(PROFILES)]}-{i // len(PROFILES) + 1}", kinds[i % len(PROFILES)])
            for i in range(self.count or len(PROFILES))
        )

    def interval_us(self) -> int:
        """Return the time between two readings of one sensor in whole microseconds."""
        if self.rate is not None:
            return max(1, round(len(self.all_sensors()) / self.rate * 1_000_000))
        return round((self.interval_ms or _DEFAULT_INTERVAL_MS) * 1000)
