"""Alerts on their way to a webhook: one POST for each change, in their order, until each has arrived."""

import logging
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import requests

from reference_worker.monitor.alerts import Alert

_log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 2.0
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 0.25, 30.0
PENDING_MAX = 1000
_STILL_RUNNING = "0001-01-01T00:00:00Z"  # as Alertmanager writes the end of what has not ended


def message(alert: Alert) -> dict[str, Any]:
    """Alertmanager's webhook body, version 4."""
    status = "firing" if alert.ends_at is None else "resolved"
    labels = {"alertname": alert.name, **({"queue": alert.queue} if alert.queue else {})}
    annotations = {"summary": alert.summary}
    return {
        "version": "4",
        "groupKey": f"{alert.name}:{alert.queue}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": _time(alert.starts_at),
                "endsAt": _STILL_RUNNING if alert.ends_at is None else _time(alert.ends_at),
                "generatorURL": "",
                "fingerprint": f"{alert.name}:{alert.queue}",
            }
        ],
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Delivery:
    """Delivers in a thread of its own, so that a webhook that is slow or down holds up no sample.

    Without a URL alerts are logged only. When more than `PENDING_MAX` are waiting, the oldest is dropped and logged.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pending: deque[Alert] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self.failures = 0
        self._thread = threading.Thread(target=self._deliver, name="alert-delivery", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> tuple[Alert, ...]:
        with self._changed:
            return tuple(self._pending)

    def send(self, alert: Alert) -> None:
        state = "firing" if alert.ends_at is None else "resolved"
        _log.warning("%s %s%s: %s", alert.name, state, f" for {alert.queue}" if alert.queue else "", alert.summary)
        if not self._url:
            return
        with self._changed:
            self._pending.append(alert)
            if len(self._pending) > PENDING_MAX:
                _log.error("dropped undelivered: %s", self._pending.popleft())
            self._changed.notify()

    def close(self) -> None:
        """Whatever could not be delivered by now is logged and given up."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(timeout=2 * TIMEOUT_SECONDS)
        if self._pending:
            _log.error("%d alerts were not delivered", len(self._pending))

    def _deliver(self) -> None:
        backoff = BACKOFF_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing.is_set())
                if not self._pending:
                    return
                alert = self._pending[0]
            if self._post(alert):
                backoff = BACKOFF_SECONDS
                with self._changed, suppress(ValueError):  # it may have been dropped meanwhile
                    self._pending.remove(alert)
                continue
            self.failures += 1
            if self._closing.wait(backoff):
                return
            backoff = min(2 * backoff, BACKOFF_SECONDS_MAX)

    def _post(self, alert: Alert) -> bool:
        try:
            with requests.post(
                self._url, json=message(alert), timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            ) as response:
                if response.ok and not response.is_redirect:
                    return True
                _log.warning("the webhook answered %d", response.status_code)
        except (requests.RequestException, ValueError) as error:
            _log.warning("the webhook could not be reached: %s", type(error).__name__)
        return False
