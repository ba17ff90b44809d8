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


BUGS: dict[str, Callable[[Any], None]] = {
    "early-ack": early_ack,
    "late-ack-only": late_ack_only,
    "no-time-limit": no_time_limit,
}
