"""What happens in the main process when a job has to be given up: a dead letter, then the acknowledgement.

Celery acknowledges a failed late-ack message and forgets it. Here, where the message is still as it was delivered and
still unacknowledged, is the one place that sees every way a job can end for good: an exception, arguments that the task
does not take, retries used up, the hard time limit, a worker lost once too often.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, InvalidTaskError, Reject, Retry
from celery.utils.time import timezone
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.asynchronous import timer

from reference_worker import postponing
from reference_worker.dead_letters import letter

_LIMIT_SECONDS_MAX = 1e9
_log = logging.getLogger(__name__)
# Not given up: tried again, dropped on purpose, or (worker lost, with reject_on_worker_lost) delivered again.
_NOT_GIVEN_UP = (Retry, Reject, Ignore, Terminated, WorkerLostError, SystemExit, KeyboardInterrupt)


class DeadLetteringRequest(Request):
    """Celery's request, with a dead letter before the acknowledgement of what has failed for good."""

    def __init__(self, message: Any, *, headers: dict[str, Any] | None = None, **options: Any) -> None:
        """:raises InvalidTaskError: a header is not what Celery, unchecked, would stumble over later"""
        _check(message.headers if headers is None else headers)
        super().__init__(message, headers=headers, **options)
        if self.eta is not None:
            try:
                to_timestamp: Any = timer.to_timestamp  # half typed
                to_timestamp(timezone.to_system(self.eta))
            except (OverflowError, ValueError) as error:
                raise InvalidTaskError(f"eta {self.eta!r} is no time: {error}") from error
            if self.request_dict.get("retries") or self.request_dict.get(postponing.HEADER):
                self._eta = self._not_beyond_any_wait(self.eta)
        self._is_given_up = False
        self._is_ours: bool | None = None

    def _not_beyond_any_wait(self, eta: datetime) -> datetime:
        """A wait of the worker's own is written into its message as the time when it ends: by a clock that was ahead,
        that is hours away. What a producer asked for is its own business.
        """
        longest = getattr(self._task, "wait_seconds_max", None)
        if longest is None or eta <= (latest := datetime.now(UTC) + timedelta(seconds=longest)):
            return eta
        _log.warning("%s was to wait until %s, which nothing is planned for: a clock is wrong", self.id, eta)
        return latest

    def revoked(self) -> bool:
        """True when it must not go to the pool: asked by Celery right before, whatever the pool."""
        if self._is_given_up or super().revoked():
            return True
        losses = self._worker_losses()
        if losses <= self.app.reference_letters.worker_losses_max:
            return False
        self._is_given_up = True

        def finish() -> None:
            self.app.reference_deliveries.close(self._identity())
            self.acknowledge()

        task_ready(self)
        self._set_aside(
            f"WorkerLostError: its worker died {losses} times",
            finish,
            started=losses,
        )
        return True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc

        def finish() -> Any:
            if isinstance(error, MemoryError):  # Celery raises it again here, and leaves the message where it is
                task_ready(self)
                return self.acknowledge()
            return super(DeadLetteringRequest, self).on_failure(
                exc_info, send_failed_event=send_failed_event, return_ok=return_ok
            )

        if isinstance(error, _NOT_GIVEN_UP):
            return finish()
        if isinstance(error, TimeLimitExceeded) and not self._is_ours_to_give_up():
            self.reject(requeue=True)
            return finish()
        # A body that has come to its end has closed its books; the one that a limit has ended could not.
        started = self._starts() if isinstance(error, TimeLimitExceeded) else 1
        self._set_aside(f"{type(error).__name__}: {_text(error)}", finish, started=started)
        return None

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """The last resort: what has reached it has ignored its soft limit, and is given up.

        Unless it is another delivery's by now, as when this worker stood still for longer than any limit, or a deploy
        has given it back. Then the message goes back to the broker, which knows whether anything is left of it: if
        somebody has acknowledged it nothing comes of it, and an acknowledgement from here would take it from whoever
        works on it.
        """

        def finish() -> Any:
            if not soft and self._is_counted():
                self.app.reference_deliveries.close(self._identity())  # given up: the books are closed, too
            return super(DeadLetteringRequest, self).on_timeout(soft, timeout)

        if soft:
            return finish()
        if not self._is_ours_to_give_up():
            self.reject(requeue=True)
            return super().on_timeout(soft, timeout)
        self._set_aside(f"TimeLimitExceeded: {timeout:g} s", finish, started=self._starts())
        return None

    def _set_aside(self, reason: str, then: Callable[[], object], *, started: int) -> None:
        self.app.reference_letters.set_aside(
            letter.of_message(self._message, reason=reason, started=started), then=then
        )

    def _starts(self) -> int:
        """Of a body that did not come back: it has left a row, as those have that were lost before it."""
        return max(1, self._worker_losses())

    def _identity(self) -> Any:
        return self._task.identity_of(self.args, self.kwargs)

    def _is_ours_to_give_up(self) -> bool:
        """Whether this delivery is the last of its message, by the books. Decided once: giving up closes them."""
        if self._is_ours is None:
            self._is_ours = not self._is_counted() or self._is_current()
        return self._is_ours

    def _is_current(self) -> bool:
        try:
            return bool(self.app.reference_deliveries.is_current(str(self.id), process_id=self.worker_pid))
        except Exception as error:  # unknown: handed back, it is not lost, and without its books no body starts
            _log.warning("whether %r is still this delivery's is unknown: %s", self.id, type(error).__name__)
            return False

    def _is_counted(self) -> bool:
        """Whether bodies of this task that do not come back are counted, and the job is given up for them."""
        return hasattr(self.app, "reference_deliveries") and hasattr(self._task, "identity_of")

    def _worker_losses(self) -> int:
        """0 where nothing is known: then the body, which asks the same database, postpones the job."""
        if not self._is_counted():
            return 0
        try:
            return int(self.app.reference_deliveries.losses(self._identity(), message_id=str(self.id)))
        except Exception as error:  # the database is away, or the arguments, which are hostile, have no identity
            _log.warning("worker losses of %r are unknown: %s", self.id, type(error).__name__)
            return 0


def _check(headers: dict[str, Any]) -> None:
    """Headers that Celery trusts in places where an exception ends the main process."""
    if not letter.is_usable_id(headers.get("id")):
        raise InvalidTaskError("its id is not a plain string of 1 to 255 characters")
    limits = headers.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list | tuple) and len(limits) == 2 and all(_is_limit(limit) for limit in limits)  # noqa: PLR2004 - hard and soft
    ):
        raise InvalidTaskError("its timelimit is not two numbers")
    retries = headers.get("retries")
    if retries is not None and (type(retries) is not int or retries < 0):
        raise InvalidTaskError("its retries is not a count")
    stamps, stamped = headers.get("stamps"), headers.get("stamped_headers")
    if stamps and not isinstance(stamps, dict):
        raise InvalidTaskError("its stamps is not a mapping")
    if stamped and not (isinstance(stamped, list) and all(isinstance(name, str) for name in stamped)):
        raise InvalidTaskError("its stamped_headers is not a list of names")


def _is_limit(value: object) -> bool:
    return value is None or (type(value) in {int, float} and 0 < value < _LIMIT_SECONDS_MAX)  # type: ignore[operator]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception class of a task's own may be broken
        return "its text cannot be told"
