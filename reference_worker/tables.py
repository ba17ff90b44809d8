"""All tables that the worker keeps, whatever else has been imported."""

from reference_worker import claims, deliveries, outbox
from reference_worker.database import Database, metadata
from reference_worker.dead_letters import table
from reference_worker.records import customers, exports, invoices, users

TABLES = (
    users.users,
    invoices.invoices,
    customers.customers,
    exports.exports,
    claims.claims,
    outbox.outbox,
    deliveries.deliveries,
    table.dead_letters,
)


def create(database: Database) -> None:
    """The tables, where they do not exist yet."""
    metadata.create_all(database.engine, tables=TABLES)
