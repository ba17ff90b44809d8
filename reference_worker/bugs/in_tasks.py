"""Mistakes in what a task does: planted once the tasks are defined."""

import inspect
import logging
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from reference_worker import claims, outbox
from reference_worker.bugs.planting import own_tasks, replace_body
from reference_worker.claims import Claim
from reference_worker.database import insert_if_absent
from reference_worker.records import exports, invoices

_log = logging.getLogger(__name__)
_MAIL = "reference_worker.send_invoice_email"
_CHARGE = "reference_worker.charge_invoice"
_VERIFICATION = "reference_worker.send_verification_email"
_EXPORT = "reference_worker.generate_export"


def check_then_send(app: Any) -> None:
    """The well-known half of the practice: look, send, record. A crash in between sends twice."""
    from reference_worker.jobs.send_invoice_email import deliver

    def body(_self: Any, invoice_id: str) -> None:
        if (invoice := _found(app.reference_database, invoice_id)).is_email_sent:
            return
        deliver(invoice, idempotency_key=None)
        invoices.mark_email_sent(app.reference_database, invoice_id)

    replace_body(app, _MAIL, body)


def mark_before_send(app: Any) -> None:
    """Record first, so that nothing is ever sent twice. A crash in between sends nothing, for ever."""
    from reference_worker.jobs.send_invoice_email import deliver

    def body(_self: Any, invoice_id: str) -> None:
        if (invoice := _found(app.reference_database, invoice_id)).is_email_sent:
            return
        invoices.mark_email_sent(app.reference_database, invoice_id)
        deliver(invoice, idempotency_key=f"invoice-email:{invoice_id}")

    replace_body(app, _MAIL, body)


def key_from_task_id(app: Any) -> None:
    """A key that is the message's: whoever submits the same work again gets another, and the work is done twice."""
    from reference_worker.jobs.send_invoice_email import deliver

    def body(self: Any, invoice_id: str) -> None:
        if (invoice := _found(app.reference_database, invoice_id)).is_email_sent:
            return
        deliver(invoice, idempotency_key=f"task:{self.request.id}")
        invoices.mark_email_sent(app.reference_database, invoice_id)

    replace_body(app, _MAIL, body)


def key_in_memory(app: Any) -> None:
    """A key that is made up once and remembered: by a process, and so only until it dies."""
    from reference_worker.jobs.send_invoice_email import deliver

    keys: dict[str, str] = {}

    def body(_self: Any, invoice_id: str) -> None:
        if (invoice := _found(app.reference_database, invoice_id)).is_email_sent:
            return
        deliver(invoice, idempotency_key=keys.setdefault(invoice_id, uuid.uuid4().hex))
        invoices.mark_email_sent(app.reference_database, invoice_id)

    replace_body(app, _MAIL, body)


def no_client_timeout(_app: Any) -> None:
    """What most HTTP clients do unless they are told otherwise: wait for ever."""
    from reference_worker.downstream import http

    send = http.send

    def patient(method: str, url: str, **options: Any) -> int:
        return send(method, url, **{**options, "timeout_seconds": None})

    http.send = patient


def soft_limit_swallowed(app: Any) -> None:
    """The soft limit is an exception like others, raised once: who catches it all has used up the warning."""
    from reference_worker.jobs.send_invoice_email import deliver

    def body(_self: Any, invoice_id: str) -> None:
        while not (invoice := _found(app.reference_database, invoice_id)).is_email_sent:
            try:
                deliver(invoice, idempotency_key=f"invoice-email:{invoice_id}")
                invoices.mark_email_sent(app.reference_database, invoice_id)
            except Exception as error:
                _log.warning("failed, trying again: %r", error)

    replace_body(app, _MAIL, body)


def one_retry_too_few(app: Any) -> None:
    """An attempt is not a retry: five attempts are four retries."""
    for task in own_tasks(app):
        task.max_retries -= 1


def retry_without_bound(app: Any) -> None:
    """A job that cannot succeed is tried for ever, and nobody ever hears of it."""
    for task in own_tasks(app):
        task.max_retries = None


def retry_without_backoff(app: Any) -> None:
    """Again at once: all retries are used up before the downstream has had time to come back."""
    for task in own_tasks(app):
        task.backoff_seconds = lambda: 0.0


def retry_by_the_clock(app: Any) -> None:
    """Celery's own way: a retry is due at a time of day, whichever clock has told it."""
    for task in own_tasks(app):
        task.wait_seconds_max = None


def outbox_outside_transaction(app: Any) -> None:
    """Paid is committed first, and the event becomes a row only when it is sent: a crash in between owes nothing."""
    from reference_worker.jobs.charge_invoice import charge, paid_event, tell

    def body(_self: Any, invoice_id: str) -> None:
        if (invoice := _found(app.reference_database, invoice_id)).is_paid:
            return
        charge(invoice)
        with app.reference_database.writing() as connection:
            invoices.mark_paid(connection, invoice_id)
        event = paid_event(invoice)
        tell(event)
        with app.reference_database.writing() as connection:
            outbox.add(connection, event)
        outbox.mark_sent(app.reference_database, event.event_id)

    replace_body(app, _CHARGE, body)


def claim_without_takeover(app: Any) -> None:
    """Somebody else does it, so there is nothing to do. If that one has died, nobody does it."""
    from reference_worker.jobs.generate_export import find, store

    def body(self: Any, export_id: str) -> None:
        export = find(export_id)
        claim = Claim(name=f"export:{export_id}", token=1)
        with app.reference_database.writing() as connection:
            is_mine = insert_if_absent(
                connection,
                claims.claims,
                name=claim.name,
                token=1,
                holder=str(self.request.id),
                expires_at=float("inf"),
            )
        if not is_mine or export.is_done:
            return
        store(export, claim)

    replace_body(app, _EXPORT, body)


def claim_without_fencing(app: Any) -> None:
    """A claim and its expiry, but nothing that stops a holder who was only thought to be dead."""
    from reference_worker.jobs import generate_export

    def store(export: exports.Export, claim: Claim) -> None:
        if generate_export.is_stored(export, token=None):
            return
        with generate_export.scratch_file() as file:
            generate_export.write(export, file)
            generate_export.upload(export, file, token=None)
        with app.reference_database.writing() as connection:
            done = sa.update(exports.exports).where(exports.exports.c.export_id == export.export_id)
            connection.execute(done.values(state="done"))
        _log.info("%s is done", claim.name)

    generate_export.store = store


def required_argument_added(app: Any) -> None:
    """Whoever enqueues it has the argument from now on. What is in the queue already has not."""
    task = app.tasks[_VERIFICATION]
    if "language" not in inspect.signature(task.run).parameters:
        return  # the release before had nothing to add it to
    send = task.run

    def body(_self: Any, user_id: str, language: str) -> None:
        send(user_id, language)

    replace_body(app, _VERIFICATION, body)


def unknown_arguments_dropped(app: Any) -> None:
    """`**_` lets old code take the messages of any later release, and do something else than they ask for."""
    task = app.tasks[_VERIFICATION]
    task.check_arguments = lambda *_: None
    send = task.run
    known = inspect.signature(send).parameters

    def body(_self: Any, **arguments: Any) -> None:
        send(**{name: value for name, value in arguments.items() if name in known})

    replace_body(app, _VERIFICATION, body)


def temp_files_left(_app: Any) -> None:
    """A file with a name, and nobody who removes it: the disk fills up, some months later."""
    from reference_worker.app import SETTINGS
    from reference_worker.jobs import generate_export

    @contextmanager
    def scratch_file() -> Iterator[IO[bytes]]:
        directory = Path(SETTINGS.scratch_directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, suffix=".part", delete=False) as file:
            yield file

    generate_export.scratch_file = scratch_file


def orphan_process(_app: Any) -> None:
    """A helper in a session of its own, started and forgotten: it outlives the job and the worker."""
    from reference_worker.jobs import generate_export

    write = generate_export.write

    def with_helper(export: exports.Export, file: IO[bytes]) -> None:
        helper = [sys.executable, "-c", "import time; time.sleep(120)"]
        subprocess.Popen(helper, start_new_session=True)
        write(export, file)

    generate_export.write = with_helper


def _found(database: Any, invoice_id: str) -> invoices.Invoice:
    from reference_worker.jobs.errors import UnknownInvoiceError

    invoice = invoices.find(database, invoice_id)
    if invoice is None:
        raise UnknownInvoiceError(invoice_id)
    return invoice


BUGS: dict[str, Callable[[Any], None]] = {
    "check-then-send": check_then_send,
    "mark-before-send": mark_before_send,
    "key-from-task-id": key_from_task_id,
    "key-in-memory": key_in_memory,
    "no-client-timeout": no_client_timeout,
    "soft-limit-swallowed": soft_limit_swallowed,
    "one-retry-too-few": one_retry_too_few,
    "retry-without-bound": retry_without_bound,
    "retry-without-backoff": retry_without_backoff,
    "retry-by-the-clock": retry_by_the_clock,
    "outbox-outside-transaction": outbox_outside_transaction,
    "claim-without-takeover": claim_without_takeover,
    "claim-without-fencing": claim_without_fencing,
    "required-argument-added": required_argument_added,
    "unknown-arguments-dropped": unknown_arguments_dropped,
    "temp-files-left": temp_files_left,
    "orphan-process": orphan_process,
}
