"""Come back later without using up a retry: nothing has failed, it is just not the job's turn."""

import logging
import time
from contextlib import suppress
from typing import Any

from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

_log = logging.getLogger(__name__)

HEADER = "reference_postponed"  # tells a wait of the worker's own from one that the producer asked for


def postpone(task: Any, seconds: float, **headers: Any) -> Ignore | Reject:
    """What to raise. The same message is published again, to be worked on after that time, and this delivery ends.

    It keeps its headers, and gets these.

    Published first and acknowledged after: a crash in between doubles the message and loses nothing.
    """
    request = task.request
    try:
        task.signature_from_request(
            request,
            request.args,
            request.kwargs,
            countdown=seconds,
            retries=request.retries,
            headers={**(request.headers or {}), HEADER: True, **headers},
        ).apply_async()
    except Exception as error:  # whatever it is, the message must not end here
        return give_back(error, seconds)
    _log.info("%s[%s] is postponed by %g s", task.name, request.id, seconds)
    return Ignore(f"postponed by {seconds:g} s")


def give_back(error: Exception, seconds: float) -> Reject:
    """What to raise where nothing can be published. After that time the delivery goes back to the broker as it is.

    Not at once: this process may be the only one that cannot (it has no descriptor left for a connection), and the main
    process, which has its own, would be handed the same message again at once, and so on without end.
    """
    with suppress(SoftTimeLimitExceeded):  # it has waited long enough
        time.sleep(seconds)
    return Reject(error, requeue=True)
