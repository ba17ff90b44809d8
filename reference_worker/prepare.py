"""Arranges the state that the contract's jobs need. Called by the harness in the worker's own environment."""

from reference_worker.app import app
from reference_worker.store import Invoice


def prepare(inputs: list[dict[str, str]]) -> None:
    app.reference_letters.table.create()
    app.reference_store.create()
    for number, arguments in enumerate(inputs, start=1):
        invoice_id = arguments["invoice_id"]
        app.reference_store.add_invoice(
            Invoice(invoice_id=invoice_id, customer_email=f"{invoice_id}@customers.example", amount_cents=1990 + number)
        )
