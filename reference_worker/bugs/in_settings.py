"""Mistakes in the settings: planted before the tasks are defined."""

from collections.abc import Callable
from typing import Any


def early_ack(app: Any) -> None:
    """Celery's default: the message is acknowledged before the body runs, and a crash loses the job."""
    app.conf.task_acks_late = False


def late_ack_only(app: Any) -> None:
    """Late acknowledgement alone: when a pool child dies, Celery still acknowledges what it was working on."""
    app.conf.task_reject_on_worker_lost = False


def no_time_limit(app: Any) -> None:
    """Celery's default: a body may run for ever, and its slot is gone with it."""
    app.conf.task_soft_time_limit = None
    app.conf.task_time_limit = None


def one_shared_queue(app: Any) -> None:
    """One queue is so much simpler, until something slow is in front of something urgent."""
    app.conf.task_routes = {"reference_worker.*": {"queue": "notifications"}}


def no_reconnect(app: Any) -> None:
    """Let it crash, the supervisor starts it again: if there is one, and if it has not given up by then."""
    app.conf.broker_connection_retry = False
    app.conf.broker_connection_retry_on_startup = False


def attempts_forgotten(app: Any) -> None:
    """The count is kept where the job runs, and dies with it: what kills its worker comes back for ever."""
    app.reference_deliveries.losses = lambda *_, **__: 0


def deliveries_counted_on_arrival(app: Any) -> None:
    """Brokers count what they deliver, and not what is begun: who dies beside messages uses up the budget of each."""
    books = app.reference_deliveries
    losses = books.losses

    def counted(identity: str, *, message_id: str = "") -> int:
        before = losses(identity, message_id=message_id)
        books.begin(identity, message_id=message_id, hard_limit_seconds=0.0)
        return int(before)

    books.losses = counted


BUGS: dict[str, Callable[[Any], None]] = {
    "early-ack": early_ack,
    "late-ack-only": late_ack_only,
    "no-time-limit": no_time_limit,
    "one-shared-queue": one_shared_queue,
    "no-reconnect": no_reconnect,
    "attempts-forgotten": attempts_forgotten,
    "deliveries-counted-on-arrival": deliveries_counted_on_arrival,
}
