"""The orders of the shop, in SQLite."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, email TEXT, total TEXT, receipt_sent INTEGER)"


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(os.environ["SHOP_DB"], timeout=10)
    try:
        with connection:
            connection.execute(SCHEMA)
            yield connection
    finally:
        connection.close()


def place(order_id: int, email: str, total: str) -> None:
    with database() as connection:
        connection.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, 0)", (order_id, email, total))


def get(order_id: int) -> tuple[str, str, bool]:
    with database() as connection:
        row = connection.execute("SELECT email, total, receipt_sent FROM orders WHERE id = ?", (order_id,)).fetchone()
    return row[0], row[1], bool(row[2])


def mark_receipt_sent(order_id: int) -> None:
    with database() as connection:
        connection.execute("UPDATE orders SET receipt_sent = 1 WHERE id = ?", (order_id,))
