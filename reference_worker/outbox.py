"""Events that others are owed, written in the transaction that makes them true.

No process relays them: the job that wrote an event also sends it, and its message is not acknowledged before. A crash
in between brings the message back, and the job finds the event unsent.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reference_worker.database import Database, insert_if_absent, metadata

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("event_id", sa.String(255), primary_key=True),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("sent_at", sa.DateTime(timezone=True)),
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """`event_id` is made of what happened, so that the same event written twice is one."""

    event_id: str
    event: str
    data: dict[str, Any]


def add(connection: Connection, event: Event) -> None:
    insert_if_absent(
        connection,
        outbox,
        event_id=event.event_id,
        event=event.event,
        data=event.data,
        written_at=datetime.now(UTC),
    )


def unsent(database: Database, event_id: str) -> Event | None:
    with database.reading() as connection:
        row = connection.execute(
            sa.select(outbox).where(outbox.c.event_id == event_id, outbox.c.sent_at.is_(None))
        ).first()
    return None if row is None else Event(event_id=row.event_id, event=row.event, data=row.data)


def mark_sent(database: Database, event_id: str) -> None:
    with database.writing() as connection:
        connection.execute(sa.update(outbox).where(outbox.c.event_id == event_id).values(sent_at=datetime.now(UTC)))
