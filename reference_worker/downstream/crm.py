"""The customer database of the sales people. It deduplicates on the Idempotency-Key header."""

from urllib.parse import quote

from reference_worker.downstream import http
from reference_worker.records.customers import Customer


def put(customer: Customer, *, url: str, timeout_seconds: float) -> None:
    """Make the copy equal to one version of the record."""
    http.send(
        "PUT",
        f"{url}/v1/customers/{quote(customer.customer_id, safe='')}",
        json={
            "id": customer.customer_id,
            "name": customer.name,
            "email": customer.email,
            "version": customer.version,
        },
        headers={"Idempotency-Key": f"customer:{customer.customer_id}:v{customer.version}"},
        timeout_seconds=timeout_seconds,
    )
