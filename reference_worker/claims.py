"""Claims: who does a piece of work at the moment, with takeover and a fencing token.

A claim alone keeps nobody from working: its holder may be frozen, think that it still holds it, and go on. So each
taking has a token that is higher than all before, and whatever the work changes refuses a lower one than it has seen.
"""

import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from reference_worker.database import Database, insert_if_absent, metadata

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("token", sa.Integer, nullable=False),  # only grows: the row is never deleted
    sa.Column("holder", sa.String(255)),  # whose: a message id, or what a job makes of it; none: free
    sa.Column("expires_at", sa.Float, nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    name: str
    token: int


def take(database: Database, name: str, *, holder: str, seconds: float) -> Claim | None:
    """The claim, or None while another message holds it.

    It is taken over when it has expired, or when its holder is this very message: the broker has handed the message
    out again, so whoever had it is dead or thought to be. If it is not, the token fences it off.
    """
    now = time.time()
    with database.writing() as connection:
        insert_if_absent(connection, claims, name=name, token=0, holder=None, expires_at=0.0)
        row = connection.execute(sa.select(claims).where(claims.c.name == name).with_for_update()).one()
        if row.holder not in (None, holder) and row.expires_at > now:
            return None
        claim = Claim(name=name, token=row.token + 1)
        connection.execute(
            sa.update(claims)
            .where(claims.c.name == name)
            .values(token=claim.token, holder=holder, expires_at=now + seconds)
        )
    return claim


def is_held(connection: Connection, claim: Claim) -> bool:
    """Whether nobody has taken it over; it stays so until the end of the connection's transaction."""
    token = connection.scalar(sa.select(claims.c.token).where(claims.c.name == claim.name).with_for_update())
    return bool(token == claim.token)


def release(database: Database, claim: Claim) -> None:
    """Let others have it at once; nothing happens if somebody has taken it over."""
    with database.writing() as connection:
        connection.execute(
            sa.update(claims)
            .where(claims.c.name == claim.name, claims.c.token == claim.token)
            .values(holder=None, expires_at=0.0)
        )
