"""The bookkeeping, which is told what has happened. It deduplicates on the Idempotency-Key header."""

from reference_worker.downstream import http
from reference_worker.outbox import Event


def tell(event: Event, *, url: str, timeout_seconds: float) -> None:
    """Report an event; it is booked once however often it is told."""
    http.send(
        "POST",
        f"{url}/v1/events",
        json={"id": event.event_id, "type": event.event, "data": event.data},
        headers={"Idempotency-Key": event.event_id},
        timeout_seconds=timeout_seconds,
    )
