from concurrent.futures import ThreadPoolExecutor

import pytest

from reference_worker import outbox
from reference_worker.database import Database
from reference_worker.outbox import Event
from reference_worker.records import invoices
from reference_worker.records.invoices import Invoice

PAID = Event(event_id="invoice.paid:inv-1", event="invoice.paid", data={"invoice_id": "inv-1"})


def test_an_event_is_unsent_until_it_is_marked(database: Database) -> None:
    with database.writing() as connection:
        outbox.add(connection, PAID)
    assert outbox.unsent(database, PAID.event_id) == PAID
    outbox.mark_sent(database, PAID.event_id)
    assert outbox.unsent(database, PAID.event_id) is None


def test_the_event_and_what_it_tells_become_true_together_or_not_at_all(database: Database) -> None:
    invoices.add(database, Invoice(invoice_id="inv-1", customer_email="a@b.example", amount_cents=1))

    def write_and_die() -> None:
        with database.writing() as connection:
            invoices.mark_paid(connection, "inv-1")
            outbox.add(connection, PAID)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_die()
    assert outbox.unsent(database, PAID.event_id) is None
    found = invoices.find(database, "inv-1")
    assert found is not None
    assert not found.is_paid


def test_the_same_event_written_twice_at_once_is_one_and_a_sent_one_stays_sent(database: Database) -> None:
    def write(_: int) -> None:
        with database.writing() as connection:
            outbox.add(connection, PAID)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    outbox.mark_sent(database, PAID.event_id)
    write(0)
    assert outbox.unsent(database, PAID.event_id) is None
