"""Orders are written down with what is owed for them; a relay, a process of its own, enqueues what is owed."""

import json
import os
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

app = Celery("relays", broker=os.environ.get("RELAYS_BROKER"))
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
LOOK_SECONDS = 0.1


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(os.environ["RELAYS_DB"], timeout=10)
    try:
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS owed (number INTEGER PRIMARY KEY, sent INTEGER)")
            yield connection
    finally:
        connection.close()


@app.task(name="relays.place")
def place(number: int) -> None:
    with database() as connection:
        connection.execute("INSERT OR IGNORE INTO owed VALUES (?, 0)", (number,))


@app.task(name="relays.deliver")
def deliver(number: int) -> None:
    keyed = {"Idempotency-Key": f"delivery-{number}"} if os.environ.get("RELAYS_KEYED") else {}
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['RELAYS_URL']}/deliveries",
        data=json.dumps({"number": str(number)}).encode(),
        headers={**keyed, "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        answer.read()


def relay() -> None:
    """What it enqueues and has not noted when it dies, it enqueues again: it is for the receiver to deduplicate."""
    while True:
        with database() as connection:
            owed = [number for (number,) in connection.execute("SELECT number FROM owed WHERE sent = 0")]
        for number in owed:
            deliver.delay(number)
            with database() as connection:
                connection.execute("UPDATE owed SET sent = 1 WHERE number = ?", (number,))
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    relay()
