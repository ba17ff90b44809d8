from typing import Any

from reference_worker import outbox
from reference_worker.app import DATABASE, SETTINGS, app
from reference_worker.downstream import accounting, payments
from reference_worker.jobs.base import Job
from reference_worker.jobs.errors import UnknownInvoiceError
from reference_worker.outbox import Event
from reference_worker.records import invoices
from reference_worker.records.invoices import Invoice


@app.task(bind=True, base=Job, name="reference_worker.charge_invoice")
def charge_invoice(_self: Any, invoice_id: str) -> None:
    """Take the money for an invoice and tell the bookkeeping, each once.

    The provider deduplicates on the invoice's key. That the invoice is paid and that the bookkeeping is owed an event
    become true together, in one transaction; then the event is sent. Whatever dies in between, the message comes
    back, and only does what is missing: it is the relay of its own outbox.
    """
    invoice = invoices.find(DATABASE, invoice_id)
    if invoice is None:
        raise UnknownInvoiceError(invoice_id)
    event = paid_event(invoice)
    if not invoice.is_paid:
        charge(invoice)
        with DATABASE.writing() as connection:
            invoices.mark_paid(connection, invoice_id)
            outbox.add(connection, event)
    owed = outbox.unsent(DATABASE, event.event_id)
    if owed is not None:
        tell(owed)
        outbox.mark_sent(DATABASE, owed.event_id)


def charge(invoice: Invoice) -> None:
    payments.charge(
        invoice.invoice_id,
        amount_cents=invoice.amount_cents,
        url=SETTINGS.payments_url,
        timeout_seconds=SETTINGS.client_timeout_seconds,
    )


def paid_event(invoice: Invoice) -> Event:
    return Event(
        event_id=f"invoice.paid:{invoice.invoice_id}",
        event="invoice.paid",
        data={"invoice_id": invoice.invoice_id, "amount_cents": invoice.amount_cents},
    )


def tell(event: Event) -> None:
    accounting.tell(event, url=SETTINGS.accounting_url, timeout_seconds=SETTINGS.client_timeout_seconds)
