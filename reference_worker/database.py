"""The worker's own database: SQLite by default, PostgreSQL when given its URL. SQLAlchemy Core.

Each module that keeps something has its table here in `metadata`, and takes a connection or a `Database`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

metadata = sa.MetaData()

# The database cannot be reached, is locked, takes too long, has ended the session or takes no writes at the moment (the
# last two are an InternalError of PostgreSQL's): it says nothing about the job.
DOWN = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError)

# Below every soft limit: while the driver of SQLite waits, no signal is heard.
_BUSY_SECONDS = 2
_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 10


class Database:
    """Safe to use after a fork: no connection outlives the call that opened it."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = sa.create_engine(url, poolclass=NullPool, connect_args=_connect_arguments(url))
        self._for_reading = self.engine
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _take_over_transactions)
            sa.event.listen(self.engine, "begin", _begin)
            self._for_reading = self.engine.execution_options(sqlite_begin="BEGIN")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._for_reading.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it is committed, or nothing."""
        with self.engine.begin() as connection:
            yield connection


def insert_if_absent(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Whether the row is new; one with the same primary key stays as it is, whoever else writes it at this moment."""
    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return bool(connection.execute(insert(table).values(**values).on_conflict_do_nothing()).rowcount)


def _connect_arguments(url: str) -> dict[str, Any]:
    if sa.make_url(url).get_backend_name() == "sqlite":
        return {}
    limits = {
        "statement_timeout": _STATEMENT_SECONDS,
        "lock_timeout": _BUSY_SECONDS,
        "idle_in_transaction_session_timeout": _STATEMENT_SECONDS,
    }
    return {
        "connect_timeout": _CONNECT_SECONDS,
        "options": " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items()),
        # A server that has vanished without a word is noticed, too.
        "keepalives_idle": _STATEMENT_SECONDS,
        "tcp_user_timeout": _STATEMENT_SECONDS * 1000,
    }


def _take_over_transactions(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin by itself, and only at the first write
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")


def _begin(connection: Connection) -> None:
    """Writers take their turn before they read: two that both read first could only give way by failing.

    No write-ahead log: one file, which anything may read or copy while nobody writes, and writers take turns anyway.
    """
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))
