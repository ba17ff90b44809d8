"""The mail provider's HTTP API. It deduplicates on the Idempotency-Key header."""

from dataclasses import dataclass

import requests


class TemporaryMailError(Exception):
    """It may work later; it may also have worked already, which the key makes harmless."""


class PermanentMailError(Exception):
    """The provider refused the mail for good."""


@dataclass(frozen=True, kw_only=True)
class Mail:
    to: str
    subject: str
    text: str
    invoice_id: str


_CLIENT_ERRORS = range(400, 500)
# Worth another try although they are client errors: timeout, conflict with a concurrent request, rate limit.
_TEMPORARY = frozenset({408, 409, 429})


def send(mail: Mail, *, url: str, timeout_seconds: float | None, idempotency_key: str | None) -> None:
    """Hand a mail to the provider; with a key, at most one mail is sent for it whatever happens in between.

    :raises TemporaryMailError: nothing is known, or the provider asked to come back
    :raises PermanentMailError: it will never work
    """
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    payload = {
        "to": mail.to,
        "subject": mail.subject,
        "text": mail.text,
        "metadata": {"invoice_id": mail.invoice_id},
    }
    try:
        answer = requests.post(f"{url}/v1/emails", json=payload, headers=headers, timeout=timeout_seconds)
    except requests.RequestException as error:
        raise TemporaryMailError(f"{type(error).__name__}: {error}") from error
    if answer.ok:
        return
    if answer.status_code in _CLIENT_ERRORS and answer.status_code not in _TEMPORARY:
        raise PermanentMailError(f"HTTP {answer.status_code}")
    raise TemporaryMailError(f"HTTP {answer.status_code}")
