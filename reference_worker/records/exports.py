from dataclasses import dataclass

import sqlalchemy as sa

from reference_worker import claims
from reference_worker.claims import Claim
from reference_worker.database import Database, metadata

exports = sa.Table(
    "exports",
    metadata,
    sa.Column("export_id", sa.String(64), primary_key=True),
    sa.Column("format", sa.String(16), nullable=False),
    sa.Column("row_count", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, default="requested"),
)


@dataclass(frozen=True, kw_only=True)
class Export:
    export_id: str
    format: str
    row_count: int
    is_done: bool = False


def add(database: Database, export: Export) -> None:
    with database.writing() as connection:
        connection.execute(
            sa.insert(exports).values(export_id=export.export_id, format=export.format, row_count=export.row_count)
        )


def find(database: Database, export_id: str) -> Export | None:
    with database.reading() as connection:
        row = connection.execute(sa.select(exports).where(exports.c.export_id == export_id)).first()
    if row is None:
        return None
    return Export(export_id=row.export_id, format=row.format, row_count=row.row_count, is_done=row.state == "done")


def mark_done(database: Database, export_id: str, *, claim: Claim) -> bool:
    """False, and nothing recorded, if somebody has taken the claim over."""
    with database.writing() as connection:
        if not claims.is_held(connection, claim):
            return False
        connection.execute(sa.update(exports).where(exports.c.export_id == export_id).values(state="done"))
    return True
