"""The monitor's process: sample, tell, alert, until SIGTERM."""

import logging
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reference_worker.bugs import in_monitor
from reference_worker.monitor.alerts import Rules, Watch
from reference_worker.monitor.delivery import Delivery
from reference_worker.monitor.metrics import MonitorCollector, served
from reference_worker.monitor.sampling import Sampler
from reference_worker.monitor.standing import Standing
from reference_worker.settings import Settings

_log = logging.getLogger(__name__)
BROKER_TIMEOUT_SECONDS = 2.0
STANDING_FILE = "reference_worker_alerts.json"


def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Prints where the metrics are once they can be read; ends in no other way."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch_queues(settings, stop)


def watch_queues(settings: Settings, stop: threading.Event) -> None:
    """Sample at once and then every `monitor_interval_seconds`, until `stop` is set.

    What was firing when a monitor of the same directory ended is told again while it lasts, and taken back once over.

    :raises OSError: the port of the metrics is taken
    """
    # Beside the spool, which is where the worker keeps what has to outlive it; in there are letters only.
    standing = Standing(Path(settings.spool_directory).absolute().with_name(STANDING_FILE))
    rules = Rules(age_seconds=settings.alert_age_seconds, growth_seconds=settings.alert_growth_seconds)
    watch = Watch(rules, standing.kept)
    if settings.bug in in_monitor.BUGS:
        in_monitor.BUGS[settings.bug](watch)
    collector = MonitorCollector()
    broker = Redis.from_url(
        settings.broker_url,
        socket_timeout=BROKER_TIMEOUT_SECONDS,
        socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),  # the next sample is the retry
    )
    with (
        closing(broker),
        closing(Delivery(settings.alert_webhook_url)) as delivery,
        served(collector, settings.metrics_host, settings.metrics_port) as port,
    ):
        print(f"metrics: http://{settings.metrics_host}:{port}/metrics", flush=True)  # noqa: T201 - told to whoever started it
        sampler = Sampler(broker)
        while not stop.is_set():
            began = time.monotonic()
            _look(sampler, watch, standing, collector, delivery)
            stop.wait(max(0.0, settings.monitor_interval_seconds - (time.monotonic() - began)))


def _look(sampler: Sampler, watch: Watch, standing: Standing, collector: MonitorCollector, delivery: Delivery) -> None:
    now, known = time.time(), collector.known
    try:
        sample = sampler.sample(now)
    except Exception as error:  # whatever lies in the broker or is wrong with it: a monitor that ended would be blind
        _log.warning("the broker could not be sampled: %r", error)
        changes = watch.failed(now)
        known = replace(known, sample=None, failed_samples=known.failed_samples + 1)
    else:
        changes = watch.sampled(sample)
        known = replace(known, sample=sample, last_sample_at=now)
    standing.keep((*delivery.pending, *changes, *watch.firing))
    for change in changes:
        delivery.send(change)
    collector.known = replace(
        known, firing=watch.firing, undelivered=len(delivery.pending), failed_deliveries=delivery.failures
    )
