"""The payment provider. It deduplicates on the Idempotency-Key header."""

from reference_worker.downstream import http


def charge(invoice_id: str, *, amount_cents: int, url: str, timeout_seconds: float) -> None:
    """Take the money for an invoice, once."""
    http.send(
        "POST",
        f"{url}/v1/charges",
        json={"amount_cents": amount_cents, "currency": "EUR", "metadata": {"invoice_id": invoice_id}},
        headers={"Idempotency-Key": f"charge:{invoice_id}"},
        timeout_seconds=timeout_seconds,
    )
