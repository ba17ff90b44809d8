"""The worker's own record: invoices, what has been sent, and the dead letters. SQLAlchemy Core, SQLite by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

_metadata = sa.MetaData()

invoices = sa.Table(
    "invoices",
    _metadata,
    sa.Column("invoice_id", sa.String(64), primary_key=True),
    sa.Column("customer_email", sa.String(320), nullable=False),
    sa.Column("amount_cents", sa.Integer, nullable=False),
    sa.Column("email_state", sa.String(16), nullable=False, default="unsent"),
)

dead_letters = sa.Table(
    "dead_letters",
    _metadata,
    # One message is given up once, however often it is delivered again before it is acknowledged.
    sa.Column("message_id", sa.String(255), primary_key=True),
    sa.Column("task", sa.String(255), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("content_type", sa.String(255), nullable=False),
    sa.Column("content_encoding", sa.String(255), nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Invoice:
    invoice_id: str
    customer_email: str
    amount_cents: int


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """What was given up, as it was delivered; a second letter for the same message changes nothing."""

    message_id: str
    task: str
    body: bytes
    content_type: str
    content_encoding: str
    headers: str
    reason: str
    attempts: int


class Store:
    """Safe to use after a fork: no connection outlives the call that opened it."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = sa.create_engine(url, poolclass=NullPool)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _wait_for_other_writers)

    def create(self) -> None:
        """The tables, where they do not exist yet."""
        _metadata.create_all(self.engine)

    def add_invoice(self, invoice: Invoice) -> None:
        with self._begin() as connection:
            connection.execute(
                sa.insert(invoices).values(
                    invoice_id=invoice.invoice_id,
                    customer_email=invoice.customer_email,
                    amount_cents=invoice.amount_cents,
                )
            )

    def invoice(self, invoice_id: str) -> Invoice | None:
        with self._begin() as connection:
            row = connection.execute(sa.select(invoices).where(invoices.c.invoice_id == invoice_id)).first()
        if row is None:
            return None
        return Invoice(invoice_id=row.invoice_id, customer_email=row.customer_email, amount_cents=row.amount_cents)

    def is_email_sent(self, invoice_id: str) -> bool:
        with self._begin() as connection:
            state = connection.scalar(sa.select(invoices.c.email_state).where(invoices.c.invoice_id == invoice_id))
        return state == "sent"

    def mark_email_sent(self, invoice_id: str) -> None:
        with self._begin() as connection:
            connection.execute(
                sa.update(invoices).where(invoices.c.invoice_id == invoice_id).values(email_state="sent")
            )

    def add_dead_letter(self, letter: DeadLetter) -> None:
        values = {field: getattr(letter, field) for field in letter.__dataclass_fields__}
        try:
            with self._begin() as connection:
                connection.execute(sa.insert(dead_letters).values(**values, given_up_at=datetime.now(UTC)))
        except sa.exc.IntegrityError:
            return  # written before a crash that came before the acknowledgement

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection


def _wait_for_other_writers(connection: object, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout = 10000")  # type: ignore[attr-defined] # the driver's own connection
