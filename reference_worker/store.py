"""The dead letters."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from reference_worker.database import Database, insert_if_absent, metadata

dead_letters = sa.Table(
    "dead_letters",
    metadata,
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
    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def engine(self) -> Engine:
        return self._database.engine

    def add_dead_letter(self, letter: DeadLetter) -> None:
        values = {field: getattr(letter, field) for field in letter.__dataclass_fields__}
        with self._database.writing() as connection:
            insert_if_absent(connection, dead_letters, **values, given_up_at=datetime.now(UTC))
