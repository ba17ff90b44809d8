"""The customer database of the sales people. It deduplicates on the Idempotency-Key header, and refuses with 412 what
comes with a lower fencing token than that customer has seen before.
"""

from http import HTTPStatus
from urllib.parse import quote

from reference_worker.downstream import http
from reference_worker.downstream.errors import FencedOffError
from reference_worker.records.customers import Customer


def put(customer: Customer, *, url: str, timeout_seconds: float) -> None:
    """Make the copy equal to one version of the record. The version is the fence, too: a request that was long on its
    way does not replace what is newer.

    :raises FencedOffError: the copy is of a newer version
    """
    status = http.send(
        "PUT",
        f"{url}/v1/customers/{quote(customer.customer_id, safe='')}",
        json={
            "id": customer.customer_id,
            "name": customer.name,
            "email": customer.email,
            "version": customer.version,
        },
        headers={
            "Idempotency-Key": f"customer:{customer.customer_id}:v{customer.version}",
            "X-Fencing-Token": str(customer.version),
        },
        timeout_seconds=timeout_seconds,
        expected=frozenset({HTTPStatus.PRECONDITION_FAILED}),
    )
    if status == HTTPStatus.PRECONDITION_FAILED:
        raise FencedOffError(f"a newer version of {customer.customer_id} than {customer.version} is there")
