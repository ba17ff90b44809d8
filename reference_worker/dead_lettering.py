"""What happens in the main process when a job has to be given up: a dead letter, then the acknowledgement.

Celery acknowledges a failed late-ack message and forgets it. Here, where the message is still as it was delivered and
still unacknowledged, is the one place that sees every way a job can end for good: an exception, arguments that the task
does not take, retries used up, the hard time limit.
"""

import json
import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request

from reference_worker.store import DeadLetter

_log = logging.getLogger(__name__)
# Not given up: tried again, dropped on purpose, or (worker lost, with reject_on_worker_lost) delivered again.
_NOT_GIVEN_UP = (Retry, Reject, Ignore, Terminated, WorkerLostError, SystemExit, KeyboardInterrupt)


class DeadLetteringRequest(Request):
    """Celery's request, with a dead letter before the acknowledgement of what has failed for good."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, _NOT_GIVEN_UP) and not self._set_aside(f"{type(error).__name__}: {error}"):
            return None
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft and not self._set_aside(f"TimeLimitExceeded: {timeout:g} s"):
            return None
        return super().on_timeout(soft, timeout)

    def _set_aside(self, reason: str) -> bool:
        """False when the dead letter could not be written: then the message must stay unacknowledged."""
        message = self._message
        body = message.body
        try:
            self.app.reference_store.add_dead_letter(
                DeadLetter(
                    message_id=self.id,
                    task=self.name,
                    body=body.encode() if isinstance(body, str) else bytes(body),
                    content_type=message.content_type or "",
                    content_encoding=message.content_encoding or "",
                    headers=json.dumps(message.headers, default=str),
                    reason=reason[:2000],
                    attempts=int(self.request_dict.get("retries") or 0) + 1,
                )
            )
        except Exception:  # whatever is wrong with the store, the message is safe where it is
            _log.critical(
                "no dead letter could be written for %s; its message stays unacknowledged", self.id, exc_info=True
            )
            return False
        return True
