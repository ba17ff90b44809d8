from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reference_worker.database import Database, metadata

invoices = sa.Table(
    "invoices",
    metadata,
    sa.Column("invoice_id", sa.String(64), primary_key=True),
    sa.Column("customer_email", sa.String(320), nullable=False),
    sa.Column("amount_cents", sa.Integer, nullable=False),
    sa.Column("email_state", sa.String(16), nullable=False, default="unsent"),
    sa.Column("payment_state", sa.String(16), nullable=False, default="open"),
)


@dataclass(frozen=True, kw_only=True)
class Invoice:
    invoice_id: str
    customer_email: str
    amount_cents: int
    is_email_sent: bool = False
    is_paid: bool = False


def add(database: Database, invoice: Invoice) -> None:
    with database.writing() as connection:
        connection.execute(
            sa.insert(invoices).values(
                invoice_id=invoice.invoice_id,
                customer_email=invoice.customer_email,
                amount_cents=invoice.amount_cents,
            )
        )


def find(database: Database, invoice_id: str) -> Invoice | None:
    with database.reading() as connection:
        row = connection.execute(sa.select(invoices).where(invoices.c.invoice_id == invoice_id)).first()
    if row is None:
        return None
    return Invoice(
        invoice_id=row.invoice_id,
        customer_email=row.customer_email,
        amount_cents=row.amount_cents,
        is_email_sent=row.email_state == "sent",
        is_paid=row.payment_state == "paid",
    )


def mark_email_sent(database: Database, invoice_id: str) -> None:
    with database.writing() as connection:
        connection.execute(sa.update(invoices).where(invoices.c.invoice_id == invoice_id).values(email_state="sent"))


def mark_paid(connection: Connection, invoice_id: str) -> None:
    connection.execute(sa.update(invoices).where(invoices.c.invoice_id == invoice_id).values(payment_state="paid"))
