"""What the monitor knows, as Prometheus metrics, under the names that celery-exporter's users know.

While the broker cannot be asked, nothing is told about the queues: an old number would look like a new one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reference_worker.monitor.alerts import Alert
from reference_worker.monitor.sampling import Sample


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that is told, replaced as a whole; `sample` is None while the broker cannot be asked."""

    sample: Sample | None = None
    last_sample_at: float = 0.0
    failed_samples: int = 0
    firing: tuple[Alert, ...] = ()
    undelivered: int = 0
    failed_deliveries: int = 0


class MonitorCollector(Collector):
    def __init__(self) -> None:
        self.known = Known()

    def collect(self) -> Iterator[Metric]:
        known = self.known
        yield GaugeMetricFamily(
            "celery_monitor_broker_up",
            "Whether the last sample of the broker succeeded.",
            value=float(known.sample is not None),
        )
        yield GaugeMetricFamily(
            "celery_monitor_last_sample_timestamp_seconds",
            "When a sample last succeeded, in seconds since the epoch; 0: never.",
            value=known.last_sample_at,
        )
        yield CounterMetricFamily(
            "celery_monitor_failed_samples", "Samples that failed.", value=float(known.failed_samples)
        )
        yield GaugeMetricFamily(
            "celery_monitor_undelivered_alerts",
            "Changes of alerts that the webhook has not taken yet.",
            value=float(known.undelivered),
        )
        yield CounterMetricFamily(
            "celery_monitor_failed_alert_deliveries",
            "Tries of the webhook that failed.",
            value=float(known.failed_deliveries),
        )
        firing = GaugeMetricFamily(
            "celery_monitor_alert_firing", "Alerts that fire.", labels=["alertname", "queue_name"]
        )
        for alert in known.firing:
            firing.add_metric([alert.name, alert.queue], 1.0)
        yield firing
        yield from _queues(known.sample)


def _queues(sample: Sample | None) -> Iterator[Metric]:
    length = GaugeMetricFamily("celery_queue_length", "Messages that no worker has taken.", labels=["queue_name"])
    age = GaugeMetricFamily(
        "celery_queue_oldest_message_age_seconds",
        "How long the oldest message that no worker has taken has waited; 0: there is none.",
        labels=["queue_name"],
    )
    unacked = GaugeMetricFamily(
        "celery_unacked_messages", "Messages that a worker has taken and not acknowledged.", labels=["queue_name"]
    )
    for queue in sample.queues if sample is not None else ():
        length.add_metric([queue.queue], float(queue.depth))
        age.add_metric([queue.queue], queue.oldest_age_seconds)
        unacked.add_metric([queue.queue], float(queue.unacknowledged))
    yield from (length, age, unacked)


@contextmanager
def served(collector: MonitorCollector, host: str, port: int) -> Iterator[int]:
    """The metrics over HTTP, while the context lasts; yields the port (0 asks for a free one)."""
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
