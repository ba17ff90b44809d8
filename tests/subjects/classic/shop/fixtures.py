"""What the tests of the shop start from."""

from typing import Any

from shop import orders


def load(jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        orders.place(job["order_id"], f"customer-{job['order_id']}@example.com", "17.50")
