"""Tells people that dead letters cannot be written anywhere, once when it begins and once when it is over."""

import logging
import time
from dataclasses import replace

from reference_worker.monitor.alerts import Alert as Change
from reference_worker.monitor.delivery import Delivery

NAME = "DeadLettersUnwritable"
_log = logging.getLogger(__name__)


class Alert:
    """Logged always; where a URL is set posted as the monitor's alerts are, in their order, until each has arrived."""

    def __init__(self, webhook_url: str) -> None:
        self._webhook_url = webhook_url
        self._delivery: Delivery | None = None
        self._firing: Change | None = None

    def fire(self, summary: str) -> None:
        if self._firing is None:
            self._firing = Change(name=NAME, queue="", summary=summary, starts_at=time.time())
            _log.critical("what is given up cannot be put on record anywhere")
            self._send(self._firing)

    def clear(self, summary: str) -> None:
        if self._firing is not None:
            self._send(replace(self._firing, summary=summary, ends_at=time.time()))
            self._firing = None

    def _send(self, change: Change) -> None:
        if self._delivery is None:  # not before: its thread belongs to the process that tells, and is not forked
            self._delivery = Delivery(self._webhook_url)
        self._delivery.send(change)
