"""Come back later without using up a retry: nothing has failed, it is just not the job's turn."""

import logging
from typing import Any

from celery.exceptions import Ignore, Reject

_log = logging.getLogger(__name__)


def postpone(task: Any, seconds: float) -> Ignore | Reject:
    """What to raise. The same message is published again, to be worked on after that time, and this delivery ends.

    Published first and acknowledged after: a crash in between doubles the message and loses nothing. If it cannot be
    published, the delivery goes back to the broker as it is.
    """
    request = task.request
    try:
        task.signature_from_request(
            request, request.args, request.kwargs, countdown=seconds, retries=request.retries
        ).apply_async()
    except Exception as error:  # whatever it is, the message must not end here
        return Reject(error, requeue=True)
    _log.info("%s[%s] is postponed by %g s", task.name, request.id, seconds)
    return Ignore(f"postponed by {seconds:g} s")
