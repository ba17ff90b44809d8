from dataclasses import dataclass

import sqlalchemy as sa

from reference_worker.database import Database, metadata

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("customer_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("synced_version", sa.Integer, nullable=False, default=0),
)


@dataclass(frozen=True, kw_only=True)
class Customer:
    customer_id: str
    name: str
    email: str
    version: int
    synced_version: int = 0


def add(database: Database, customer: Customer) -> None:
    with database.writing() as connection:
        connection.execute(
            sa.insert(customers).values(
                customer_id=customer.customer_id,
                name=customer.name,
                email=customer.email,
                version=customer.version,
            )
        )


def find(database: Database, customer_id: str) -> Customer | None:
    with database.reading() as connection:
        row = connection.execute(sa.select(customers).where(customers.c.customer_id == customer_id)).first()
    return None if row is None else Customer(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def mark_synced(database: Database, customer_id: str, *, version: int) -> None:
    """Record the version that the copy has; one that is older than what is recorded changes nothing."""
    with database.writing() as connection:
        connection.execute(
            sa.update(customers)
            .where(customers.c.customer_id == customer_id, customers.c.synced_version < version)
            .values(synced_version=version)
        )
