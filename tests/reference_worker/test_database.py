from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from reference_worker.database import DOWN, Database
from reference_worker.records import customers
from reference_worker.records.customers import Customer


def test_writers_that_read_first_take_turns_and_none_fails(database: Database) -> None:
    customers.add(database, Customer(customer_id="c", name="Ada", email="ada@b.example", version=1))
    table = customers.customers

    def increment(_: int) -> None:
        with database.writing() as connection:
            version = connection.scalar(sa.select(table.c.version).with_for_update())
            connection.execute(sa.update(table).values(version=version + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(increment, range(30)))
    found = customers.find(database, "c")
    assert found is not None
    assert found.version == 31


def test_an_older_version_never_replaces_a_newer_one(database: Database) -> None:
    customers.add(database, Customer(customer_id="c", name="Ada", email="ada@b.example", version=5))
    customers.mark_synced(database, "c", version=5)
    customers.mark_synced(database, "c", version=4)
    found = customers.find(database, "c")
    assert found is not None
    assert found.synced_version == 5


def test_a_database_that_is_not_there_is_told_as_down() -> None:
    with pytest.raises(DOWN), Database("postgresql+psycopg://nobody@127.0.0.1:1/none").reading():
        pass
    with pytest.raises(DOWN), Database("sqlite:////nowhere/at/all.db").reading():
        pass


def test_a_statement_of_postgresql_does_not_take_for_ever(postgres_url: str) -> None:
    with Database(postgres_url).reading() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "10s"
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "2s"
