"""When a message was published, told by the message itself: the broker does not know."""

import time
from typing import Any

HEADER = "reference_published_at"  # seconds since the epoch, a float


def connect() -> None:
    """Stamp whatever this process publishes from now on."""
    from celery.signals import before_task_publish  # not above: the monitor reads the header, and needs no Celery

    before_task_publish.connect(stamp, weak=False, dispatch_uid=HEADER)


def stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Celery hands a job's own headers on to its retry, which is a new message and waits anew."""
    if headers is not None and (HEADER not in headers or headers.get("retries")):
        headers[HEADER] = time.time()
