"""Tells people that dead letters cannot be written anywhere, once when it begins and once when it is over."""

import logging
import threading
from datetime import UTC, datetime

import requests

_log = logging.getLogger(__name__)
_WEBHOOK_SECONDS_MAX = 1.0


class Alert:
    """Logged always; posted in Alertmanager's webhook format where a URL is set, as far as that works."""

    def __init__(self, webhook_url: str) -> None:
        self._webhook_url = webhook_url
        self._fired_at: datetime | None = None

    def fire(self, summary: str) -> None:
        if self._fired_at is None:
            self._fired_at = datetime.now(UTC)
            _log.critical("%s", summary)
            self._post("firing", summary, self._fired_at)

    def clear(self, summary: str) -> None:
        if self._fired_at is not None:
            _log.warning("%s", summary)
            self._post("resolved", summary, self._fired_at)
            self._fired_at = None

    def _post(self, status: str, summary: str, since: datetime) -> None:
        if self._webhook_url:
            # Beside the worker's loop, which must not wait for it.
            threading.Thread(
                target=_post, args=(self._webhook_url, _payload(status, summary, since)), daemon=True
            ).start()


def _payload(status: str, summary: str, since: datetime) -> dict[str, object]:
    alert: dict[str, object] = {
        "status": status,
        "labels": {"alertname": "DeadLettersUnwritable", "severity": "critical"},
        "annotations": {"summary": summary},
        "startsAt": since.isoformat(),
    }
    if status == "resolved":
        alert["endsAt"] = datetime.now(UTC).isoformat()
    return {"version": "4", "status": status, "alerts": [alert]}


def _post(url: str, payload: dict[str, object]) -> None:
    try:
        requests.post(url, json=payload, timeout=_WEBHOOK_SECONDS_MAX).close()
    except requests.RequestException as error:
        _log.warning("the alert could not be delivered: %s", error)
