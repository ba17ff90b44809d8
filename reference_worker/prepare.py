"""Arranges the state that the contract's jobs need. Called by the harness in the worker's own environment."""

from typing import Any

from reference_worker import tables
from reference_worker.app import DATABASE
from reference_worker.records import customers, exports, invoices, users
from reference_worker.records.customers import Customer
from reference_worker.records.exports import Export
from reference_worker.records.invoices import Invoice
from reference_worker.records.users import User


def prepare(inputs: list[dict[str, Any]]) -> None:
    tables.create(DATABASE)
    for user_id in _ids(inputs, "user_id"):
        users.add(DATABASE, User(user_id=user_id, email=f"{user_id}@customers.example"))
    for number, invoice_id in enumerate(_ids(inputs, "invoice_id"), start=1):
        email = f"{invoice_id}@customers.example"
        invoices.add(DATABASE, Invoice(invoice_id=invoice_id, customer_email=email, amount_cents=1990 + number))
    for customer_id in _ids(inputs, "customer_id"):
        email = f"{customer_id}@customers.example"
        customers.add(
            DATABASE, Customer(customer_id=customer_id, name=f"Name of {customer_id}", email=email, version=3)
        )
    for export_id in _ids(inputs, "export_id"):
        export_format = "papyrus" if export_id.endswith("unknown-format") else "json"
        exports.add(DATABASE, Export(export_id=export_id, format=export_format, row_count=200))


def _ids(inputs: list[dict[str, Any]], name: str) -> list[str]:
    """Each once, in order; two tasks may be about the same thing, and a poison's id may be anything."""
    return list(dict.fromkeys(value for given in inputs if isinstance(value := given.get(name), str)))
