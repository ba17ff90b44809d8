"""Where dead letters are kept: a table in the worker's own database."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine, Row

from reference_worker.database import metadata
from reference_worker.dead_letters.letter import DeadLetter

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    # One message is given up once, however often it is delivered again before it is acknowledged.
    sa.Column("message_id", sa.String(255), primary_key=True),
    sa.Column("task", sa.String(255), nullable=False),
    sa.Column("queue", sa.String(255), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("content_type", sa.String(255), nullable=False),
    sa.Column("content_encoding", sa.String(255), nullable=False),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("is_message", sa.Boolean, nullable=False),
    sa.Column("first_given_up_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("last_given_up_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("replayed_at", sa.DateTime(timezone=True)),
)


class Table:
    """Safe after a fork if the engine is: no connection outlives the call that opened it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def create(self) -> None:
        metadata.create_all(self.engine, tables=[dead_letters])

    def add(self, letter: DeadLetter) -> None:
        """Durable when this returns. A second letter for a message changes nothing, unless it was replayed since.

        :raises sqlalchemy.exc.SQLAlchemyError: it could not be written
        """
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(dead_letters).values(**asdict(letter)))
        except sa.exc.IntegrityError:
            again = asdict(replace(letter, replayed_at=None))
            del again["first_given_up_at"]
            column = dead_letters.c
            with self.engine.begin() as connection:
                connection.execute(
                    sa.update(dead_letters)
                    .where(
                        column.message_id == letter.message_id,
                        # A late second delivery of what was given up before the replay is no news.
                        column.replayed_at < letter.last_given_up_at,
                    )
                    .values(**again)
                )

    def all(self) -> list[DeadLetter]:
        """Oldest first."""
        query = sa.select(dead_letters).order_by(dead_letters.c.first_given_up_at, dead_letters.c.message_id)
        with self.engine.begin() as connection:
            return [_letter(row) for row in connection.execute(query)]

    def get(self, message_id: str) -> DeadLetter | None:
        with self.engine.begin() as connection:
            row = connection.execute(sa.select(dead_letters).where(dead_letters.c.message_id == message_id)).first()
        return None if row is None else _letter(row)

    def mark_replayed(self, message_id: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(dead_letters)
                .where(dead_letters.c.message_id == message_id)
                .values(replayed_at=datetime.now(UTC))
            )


def _letter(row: Row[tuple[object, ...]]) -> DeadLetter:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    for name, value in values.items():
        if isinstance(value, datetime) and value.tzinfo is None:  # SQLite keeps no zone; what was written was UTC
            values[name] = value.replace(tzinfo=UTC)
    values["body"] = bytes(values["body"])
    return DeadLetter(**values)
