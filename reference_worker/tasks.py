"""The jobs."""

from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from reference_worker import bugs, mail
from reference_worker.app import SETTINGS, app
from reference_worker.backoff import backoff_seconds
from reference_worker.store import Invoice

# None waits for ever, as the HTTP library does by default.
MAIL_TIMEOUT_SECONDS: float | None = SETTINGS.client_timeout_seconds


class UnknownInvoiceError(Exception):
    """There is no such invoice, and no retry will make one."""


@app.task(
    bind=True,
    name="reference_worker.send_invoice_email",
    max_retries=SETTINGS.retries_max,
    Request="reference_worker.dead_letters.request:DeadLetteringRequest",
)
def send_invoice_email(self: Any, invoice_id: str) -> None:
    """Send an invoice's mail, once, even if the worker dies between the sending and its own record of it.

    The provider deduplicates on a key that is the invoice's and not the message's: a second message for the same
    invoice, whoever sent it, meets the same key. Our own record only spares it the request.
    """
    store = app.reference_store
    invoice = store.invoice(invoice_id)
    if invoice is None:
        raise UnknownInvoiceError(invoice_id)
    if store.is_email_sent(invoice_id):
        return
    try:
        deliver(invoice, idempotency_key=f"invoice-email:{invoice_id}")
    except (mail.TemporaryMailError, SoftTimeLimitExceeded) as error:
        wait = backoff_seconds(self.request.retries, base_seconds=SETTINGS.backoff_seconds)
        raise self.retry(exc=error, countdown=wait) from error
    store.mark_email_sent(invoice_id)


def deliver(invoice: Invoice, *, idempotency_key: str | None) -> None:
    amount = f"{invoice.amount_cents // 100}.{invoice.amount_cents % 100:02}"
    mail.send(
        mail.Mail(
            to=invoice.customer_email,
            subject=f"Invoice {invoice.invoice_id}",
            text=f"Please pay {amount} EUR.",
            invoice_id=invoice.invoice_id,
        ),
        url=SETTINGS.mail_url,
        timeout_seconds=MAIL_TIMEOUT_SECONDS,
        idempotency_key=idempotency_key,
    )


bugs.plant_in_tasks(app, SETTINGS.bug)
