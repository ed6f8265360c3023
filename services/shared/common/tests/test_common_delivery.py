"""What counts the messages on their way."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry

from millrace_common.delivery import Delivery


def test_settled_waits_for_the_last_message_whatever_becomes_of_it() -> None:
    delivery = Delivery(CollectorRegistry(), "test")
    assert delivery.settled(0)
    delivery.sent()
    delivery.sent()
    assert not delivery.settled(0.01)
    delivery.succeeded()
    assert not delivery.settled(0.01)
    later = threading.Timer(0.05, delivery.lost, [OSError("gone")])
    later.start()
    assert delivery.settled(30)
    later.join()
    assert (delivery.acknowledged, delivery.failed, delivery.pending) == (1, 1, 0)


def test_metrics_are_called_by_the_service() -> None:
    registry = CollectorRegistry()
    delivery = Delivery(registry, "sensors_test")
    delivery.sent()
    delivery.succeeded()
    names = ("produced_total", "acknowledged_total", "failed_total", "pending")
    assert [registry.get_sample_value(f"sensors_test_{name}") for name in names] == [1, 1, 0, 0]
    assert registry.get_sample_value("sensors_test_last_acknowledgement_timestamp_seconds") is not None
