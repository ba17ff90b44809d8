from typing import Any

from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.downstream import mail
from reference_worker.jobs.base import Job
from reference_worker.jobs.errors import UnknownInvoiceError
from reference_worker.records import invoices
from reference_worker.records.invoices import Invoice


@app.task(bind=True, base=Job, name="reference_worker.send_invoice_email")
def send_invoice_email(_self: Any, invoice_id: str) -> None:
    """Send an invoice's mail, once, even if the worker dies between the sending and its own record of it.

    The provider deduplicates on a key that is the invoice's and not the message's: a second message for the same
    invoice, whoever sent it, meets the same key. Our own record only spares it the request.
    """
    invoice = invoices.find(DATABASE, invoice_id)
    if invoice is None:
        raise UnknownInvoiceError(invoice_id)
    if invoice.is_email_sent:
        return
    deliver(invoice, idempotency_key=f"invoice-email:{invoice_id}")
    invoices.mark_email_sent(DATABASE, invoice_id)


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
        timeout_seconds=SETTINGS.client_timeout_seconds,
        idempotency_key=idempotency_key,
    )
