"""The subject's own tables, read after a run; and taken away for a while, where that is the fault."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.pool import NullPool

from harness.contract import SqlTable, fill
from harness.system import SubjectError

HIDDEN = "_hidden_by_jobproof"


class WholeTable(Struct, frozen=True):
    """`keys`: columns that are a primary key or point to one, whose values a database may have made up."""

    columns: tuple[str, ...]
    keys: frozenset[str]
    rows: tuple[tuple[Any, ...], ...]


def _whole(connection: sa.Connection, inspector: sa.Inspector, name: str) -> WholeTable:
    columns = tuple(each["name"] for each in inspector.get_columns(name) if each["name"].isidentifier())
    keys = {*inspector.get_pk_constraint(name)["constrained_columns"]}
    keys |= {column for each in inspector.get_foreign_keys(name) for column in each["constrained_columns"]}
    chosen: Any = sa.select(*(sa.column(each) for each in columns)).select_from(sa.table(name))
    return WholeTable(columns, frozenset(keys), tuple(tuple(row) for row in connection.execute(chosen)))


class Tables:
    """One lane's view of the tables that its contract names, in SQLite or PostgreSQL."""

    def __init__(self, placeholders: dict[str, str]) -> None:
        self._placeholders = placeholders

    def rows(self, table: SqlTable, *, may_be_missing: bool = False) -> list[tuple[Any, ...]]:
        """Its rows, read only. One that may be missing has none then: it is made when there is something to put in.

        :raises SubjectError: the database cannot be read, or there is no such table: two runs that both lack it would
            be the same, and say nothing
        """
        engine = self._engine(table)
        if engine is None:
            return self._missing(table, may_be_missing=may_be_missing)
        columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in table.columns]
        try:
            with engine.connect() as connection:
                if not sa.inspect(connection).has_table(table.table):
                    return self._missing(table, may_be_missing=may_be_missing)
                return [
                    tuple(row) for row in connection.execute(sa.select(*columns).select_from(sa.table(table.table)))
                ]
        except sa.exc.SQLAlchemyError as error:
            raise self._cannot("read", table, error) from error

    def every(self, url: str) -> dict[str, "WholeTable"]:
        """Every table of a database whose names are plain, by its name; none where the database is not there.

        :raises SubjectError: the database cannot be read
        """
        told = SqlTable(url=url, table="any", columns=())
        engine = self._engine(told)
        if engine is None:
            return {}
        try:
            with engine.connect() as connection:
                inspector = sa.inspect(connection)
                return {
                    name: _whole(connection, inspector, name)
                    for name in sorted(inspector.get_table_names())
                    if name.isidentifier() and not name.startswith("sqlite_")
                }
        except sa.exc.SQLAlchemyError as error:
            raise self._cannot("read", told, error) from error

    @staticmethod
    def _missing(table: SqlTable, *, may_be_missing: bool) -> list[tuple[Any, ...]]:
        if may_be_missing:
            return []
        raise SubjectError(f"the contract names the table {table.table!r}, and the subject's database has none")

    def hide(self, table: SqlTable) -> None:
        """Until `show`, whoever uses the table is told that there is none.

        :raises SubjectError: there is no such table, or it cannot be renamed
        """
        self._rename(table, table.table, table.table + HIDDEN)

    def show(self, table: SqlTable) -> None:
        self._rename(table, table.table + HIDDEN, table.table)

    def _rename(self, table: SqlTable, old: str, new: str) -> None:
        engine = self._engine(table)
        if engine is None:
            raise SubjectError(f"the subject's table {table.table!r} does not exist")
        try:
            with engine.begin() as connection:
                # Names were checked to be plain identifiers when the contract was compiled.
                connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
        except sa.exc.SQLAlchemyError as error:
            raise self._cannot("renamed", table, error) from error

    def _engine(self, table: SqlTable) -> sa.Engine | None:
        """None where the database is a file that does not exist: opening it would make it."""
        url = sa.make_url(fill(table.url, self._placeholders, where=f"table {table.table}"))
        if url.get_backend_name() != "sqlite":
            return sa.create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
        if not url.database or not Path(url.database).exists():
            return None
        engine = sa.create_engine(url, poolclass=NullPool)
        sa.event.listen(engine, "connect", _wait_for_others)
        return engine

    @staticmethod
    def _cannot(what: str, table: SqlTable, error: sa.exc.SQLAlchemyError) -> SubjectError:
        told = str(getattr(error, "orig", None) or error).splitlines()[0]
        return SubjectError(f"the subject's table {table.table!r} cannot be {what}: {told}")


def _wait_for_others(connection: Any, _record: object) -> None:
    with suppress(Exception):
        connection.execute("PRAGMA busy_timeout = 10000")
