"""The reference worker with its state in PostgreSQL: the server's URL, without a database, is in POSTGRESQL_SERVER."""

import os

import msgspec

from harness.contract import Contract
from reference_worker.contract import CONTRACT as ON_SQLITE

_SERVER = os.environ["POSTGRESQL_SERVER"]


def _there(value: object) -> object:
    """The same contract, with each lane's own database on the server instead of a file in its directory."""
    match value:
        case str():
            return value.replace("sqlite:///{directory}/reference_worker.db", _SERVER.replace("DATABASE", "{lane}"))
        case dict():
            return {name: _there(each) for name, each in value.items()}
        case list() | tuple():
            return [_there(each) for each in value]
        case _:
            return value


_plain = _there(msgspec.to_builtins(ON_SQLITE))
_plain |= {"name": "reference-worker-on-postgresql", "prepare": "fresh_database:prepare", "planted_bugs": []}  # type: ignore[operator]
_plain["environment"]["POSTGRESQL_MAINTENANCE"] = _SERVER.replace("DATABASE", "postgres")  # type: ignore[index]
CONTRACT = msgspec.convert(_plain, Contract)
