"""Charges that were given up, with all that is needed to try them again."""

import json
import os
import sqlite3
from contextlib import closing
from typing import Any

from celery import Task

SCHEMA = "CREATE TABLE IF NOT EXISTS given_up (task_id TEXT PRIMARY KEY, task TEXT, arguments TEXT, reason TEXT)"


class Kept(Task):
    """A task whose jobs are set aside when they are given up."""

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        arguments = json.dumps({"args": args, "kwargs": kwargs})
        with closing(sqlite3.connect(os.environ["BILLING_DB"], timeout=10)) as connection, connection:
            connection.execute(SCHEMA)
            connection.execute(
                "INSERT OR IGNORE INTO given_up VALUES (?, ?, ?, ?)", (task_id, self.name, arguments, repr(exc))
            )
