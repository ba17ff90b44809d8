"""The subject's tables are read, hidden and shown again on real databases of both kinds."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from harness.contract import SqlTable
from harness.services.tables import Tables
from harness.system import SubjectError
from tests.postgresql import postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlTable]:
    """A table `letters` with two rows."""
    url = f"sqlite:///{tmp_path}/subject.db" if request.param == "sqlite" else postgresql_url()
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS letters"))
        connection.execute(sa.text("CREATE TABLE letters (id INTEGER, reason TEXT)"))
        connection.execute(sa.text("INSERT INTO letters VALUES (1, 'a'), (2, 'b')"))
    yield SqlTable(url=url, table="letters", columns=("id", "reason"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS letters"))


def test_rows_are_read_in_the_order_of_the_contracts_columns(table: SqlTable) -> None:
    assert sorted(Tables({}).rows(table)) == [(1, "a"), (2, "b")]


def test_a_hidden_table_is_not_there_for_anybody_and_comes_back_with_its_rows(table: SqlTable) -> None:
    tables = Tables({})
    tables.hide(table)
    assert tables.rows(table, may_be_missing=True) == []
    with pytest.raises(SubjectError, match="has none"):
        tables.rows(table)
    engine = sa.create_engine(table.url, poolclass=NullPool)
    with pytest.raises(sa.exc.SQLAlchemyError), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO letters VALUES (3, 'c')"))
    tables.show(table)
    assert len(tables.rows(table)) == 2


def test_a_table_that_is_not_there_has_no_rows_and_cannot_be_hidden(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    missing = SqlTable(url="sqlite:///{directory}/empty.db", table="letters", columns=("id",))
    tables = Tables({"directory": str(tmp_path)})
    assert tables.rows(missing, may_be_missing=True) == []
    with pytest.raises(SubjectError, match="has none"):
        tables.rows(missing)
    with pytest.raises(SubjectError, match="cannot be renamed"):
        tables.hide(missing)


def test_looking_for_a_database_does_not_make_one(tmp_path: Path) -> None:
    nowhere = SqlTable(url="sqlite:///{directory}/none.db", table="letters", columns=("id",))
    tables = Tables({"directory": str(tmp_path)})
    assert tables.rows(nowhere, may_be_missing=True) == []
    with pytest.raises(SubjectError, match="has none"):
        tables.rows(nowhere)
    with pytest.raises(SubjectError, match="does not exist"):
        tables.hide(nowhere)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database at all" * 100)
    broken = SqlTable(url="sqlite:///{directory}/broken.db", table="letters", columns=("id",))
    with pytest.raises(SubjectError, match=r"'letters' cannot be read: file is not a database$"):
        Tables({"directory": str(tmp_path)}).rows(broken)
