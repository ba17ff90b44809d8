from dataclasses import dataclass

import sqlalchemy as sa

from reference_worker.database import Database, metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("verification_state", sa.String(16), nullable=False, default="unsent"),
)


@dataclass(frozen=True, kw_only=True)
class User:
    user_id: str
    email: str
    is_verification_sent: bool = False


def add(database: Database, user: User) -> None:
    with database.writing() as connection:
        connection.execute(sa.insert(users).values(user_id=user.user_id, email=user.email))


def find(database: Database, user_id: str) -> User | None:
    with database.reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.user_id == user_id)).first()
    if row is None:
        return None
    return User(user_id=row.user_id, email=row.email, is_verification_sent=row.verification_state == "sent")


def mark_verification_sent(database: Database, user_id: str) -> None:
    with database.writing() as connection:
        connection.execute(sa.update(users).where(users.c.user_id == user_id).values(verification_state="sent"))
