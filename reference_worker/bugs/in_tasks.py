"""Mistakes in what a task does: planted once the tasks are defined."""

import logging
import uuid
from collections.abc import Callable
from typing import Any

from reference_worker.bugs.planting import own_tasks, replace_body

_log = logging.getLogger(__name__)


def check_then_send(app: Any) -> None:
    """The well-known half of the practice: look, send, record. A crash in between sends twice."""
    from reference_worker import tasks

    def body(_self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=None)
        app.reference_store.mark_email_sent(invoice_id)

    replace_body(app, "reference_worker.send_invoice_email", body)


def mark_before_send(app: Any) -> None:
    """Record first, so that nothing is ever sent twice. A crash in between sends nothing, for ever."""
    from reference_worker import tasks

    def body(_self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        app.reference_store.mark_email_sent(invoice_id)
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=f"invoice-email:{invoice_id}")

    replace_body(app, "reference_worker.send_invoice_email", body)


def key_from_task_id(app: Any) -> None:
    """A key that is the message's: whoever submits the same work again gets another, and the work is done twice."""
    from reference_worker import tasks

    def body(self: Any, invoice_id: str) -> None:
        if app.reference_store.is_email_sent(invoice_id):
            return
        tasks.deliver(app.reference_store.invoice(invoice_id), idempotency_key=f"task:{self.request.id}")
        app.reference_store.mark_email_sent(invoice_id)

    replace_body(app, "reference_worker.send_invoice_email", body)


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

    replace_body(app, "reference_worker.send_invoice_email", body)


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

    replace_body(app, "reference_worker.send_invoice_email", body)


def one_retry_too_few(app: Any) -> None:
    """An attempt is not a retry: five attempts are four retries."""
    for task in own_tasks(app):
        task.max_retries -= 1


def retry_without_bound(app: Any) -> None:
    """A job that cannot succeed is tried for ever, and nobody ever hears of it."""
    for task in own_tasks(app):
        task.max_retries = None


BUGS: dict[str, Callable[[Any], None]] = {
    "check-then-send": check_then_send,
    "mark-before-send": mark_before_send,
    "key-from-task-id": key_from_task_id,
    "key-in-memory": key_in_memory,
    "no-client-timeout": no_client_timeout,
    "soft-limit-swallowed": soft_limit_swallowed,
    "one-retry-too-few": one_retry_too_few,
    "retry-without-bound": retry_without_bound,
}
