"""Each scenario begins with a database of its own that nobody has written to."""

import os
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from reference_worker.app import DATABASE
from reference_worker.prepare import prepare as prepare_reference_worker


def prepare(inputs: list[dict[str, Any]]) -> None:
    name = DATABASE.engine.url.database
    engine = sa.create_engine(os.environ["POSTGRESQL_MAINTENANCE"], poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    prepare_reference_worker(inputs)
