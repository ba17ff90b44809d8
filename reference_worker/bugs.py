"""Planted bugs: the mistakes that each practice exists to prevent, small and readable.

The worker is started with one of them by `REFERENCE_WORKER_BUG=<name>`; `reference_worker/contract.py` says which
guarantee each must violate. Never set it anywhere else.
"""

from collections.abc import Callable
from typing import Any

# --- mistakes in the settings ---


def early_ack(app: Any) -> None:
    """Celery's default: the message is acknowledged before the body runs, and a crash loses the job."""
    app.conf.task_acks_late = False


def late_ack_only(app: Any) -> None:
    """Late acknowledgement alone: when a pool child dies, Celery still acknowledges what it was working on."""
    app.conf.task_reject_on_worker_lost = False


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


SETTINGS_BUGS: dict[str, Callable[[Any], None]] = {"early-ack": early_ack, "late-ack-only": late_ack_only}
BODY_BUGS: dict[str, Callable[[Any], None]] = {
    "check-then-send": check_then_send,
    "mark-before-send": mark_before_send,
    "poison-swallowed": poison_swallowed,
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
