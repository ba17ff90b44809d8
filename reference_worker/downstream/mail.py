"""The mail provider's HTTP API. It deduplicates on the Idempotency-Key header."""

from dataclasses import dataclass

from reference_worker.downstream import http


@dataclass(frozen=True, kw_only=True)
class Mail:
    to: str
    subject: str
    text: str
    invoice_id: str


def send(mail: Mail, *, url: str, timeout_seconds: float, idempotency_key: str | None) -> None:
    """Hand a mail to the provider; with a key, at most one mail is sent for it whatever happens in between."""
    http.send(
        "POST",
        f"{url}/v1/emails",
        json={
            "to": mail.to,
            "subject": mail.subject,
            "text": mail.text,
            "metadata": {"invoice_id": mail.invoice_id},
        },
        headers={} if idempotency_key is None else {"Idempotency-Key": idempotency_key},
        timeout_seconds=timeout_seconds,
    )
