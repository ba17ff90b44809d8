"""Planted bugs: the mistakes that each practice exists to prevent, small and readable.

The worker is started with one of them by `REFERENCE_WORKER_BUG=<name>`; `reference_worker/contract.py` says which
guarantee each must violate. Never set it anywhere else.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

_log = logging.getLogger(__name__)

# --- mistakes in the settings ---


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


# --- mistakes in the body ---


def check_then_send(app: Any) -> None:
    """The well-known half of the practice: look, send, record. A crash in between sends twice."""
    from reference_worker import tasks

    def body(_self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=None)
        app.reference_store.mark_email_sent(invoice_id)

    _replace(app, "reference_worker.send_invoice_email", body)


def mark_before_send(app: Any) -> None:
    """Record first, so that nothing is ever sent twice. A crash in between sends nothing, for ever."""
    from reference_worker import tasks

    def body(_self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        app.reference_store.mark_email_sent(invoice_id)
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=f"invoice-email:{invoice_id}")

    _replace(app, "reference_worker.send_invoice_email", body)


def poison_swallowed(app: Any) -> None:
    """Celery's default for a job that has failed for good: acknowledged and gone, no dead letter."""
    for task in _own_tasks(app):
        task.Request = "celery.worker.request:Request"


def key_from_task_id(app: Any) -> None:
    """A key that is the message's: whoever submits the same work again gets another, and the work is done twice."""
    from reference_worker import tasks

    def body(self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=f"task:{self.request.id}")
        app.reference_store.mark_email_sent(invoice_id)

    _replace(app, "reference_worker.send_invoice_email", body)


def key_in_memory(app: Any) -> None:
    """A key that is made up once and remembered: by a process, and so only until it dies."""
    from reference_worker import tasks

    keys: dict[str, str] = {}

    def body(_self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        key = keys.setdefault(invoice_id, uuid.uuid4().hex)
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=key)
        app.reference_store.mark_email_sent(invoice_id)

    _replace(app, "reference_worker.send_invoice_email", body)


def no_client_timeout(_app: Any) -> None:
    """What most HTTP clients do unless they are told otherwise: wait for ever."""
    from reference_worker import tasks

    tasks.MAIL_TIMEOUT_SECONDS = None


def soft_limit_swallowed(app: Any) -> None:
    """The soft limit is an exception like others, raised once: who catches it all has used up the warning."""
    from reference_worker import tasks

    def body(_self: Any, invoice_id: str) -> None:
        while not app.reference_store.is_email_sent(invoice_id):
            try:
                tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=f"invoice-email:{invoice_id}")
                app.reference_store.mark_email_sent(invoice_id)
            except Exception as error:
                _log.warning("failed, trying again: %r", error)

    _replace(app, "reference_worker.send_invoice_email", body)


def one_retry_too_few(app: Any) -> None:
    """An attempt is not a retry: five attempts are four retries."""
    for task in _own_tasks(app):
        task.max_retries -= 1


def retry_without_bound(app: Any) -> None:
    """A job that cannot succeed is tried for ever, and nobody ever hears of it."""
    for task in _own_tasks(app):
        task.max_retries = None


def dead_letter_without_payload(app: Any) -> None:
    """A dead letter that nobody can act on: what was to be done is gone."""
    add = app.reference_store.add_dead_letter
    app.reference_store.add_dead_letter = lambda letter: add(replace(letter, body=b""))


SETTINGS_BUGS: dict[str, Callable[[Any], None]] = {
    "early-ack": early_ack,
    "late-ack-only": late_ack_only,
    "no-time-limit": no_time_limit,
}
BODY_BUGS: dict[str, Callable[[Any], None]] = {
    "check-then-send": check_then_send,
    "mark-before-send": mark_before_send,
    "poison-swallowed": poison_swallowed,
    "key-from-task-id": key_from_task_id,
    "key-in-memory": key_in_memory,
    "no-client-timeout": no_client_timeout,
    "soft-limit-swallowed": soft_limit_swallowed,
    "one-retry-too-few": one_retry_too_few,
    "retry-without-bound": retry_without_bound,
    "dead-letter-without-payload": dead_letter_without_payload,
}


def plant_settings(app: Any, name: str) -> None:
    """:raises ValueError: there is no bug of that name"""
    if name and name not in SETTINGS_BUGS | BODY_BUGS:
        raise ValueError(f"REFERENCE_WORKER_BUG={name!r} is no planted bug")
    if name in SETTINGS_BUGS:
        SETTINGS_BUGS[name](app)


def plant_bodies(app: Any, name: str) -> None:
    if name in BODY_BUGS:
        BODY_BUGS[name](app)


def _own_tasks(app: Any) -> list[Any]:
    return [task for name, task in app.tasks.items() if name.startswith("reference_worker.")]


def _replace(app: Any, name: str, body: Callable[..., None]) -> None:
    task = app.tasks[name]
    task.run = body.__get__(task)
