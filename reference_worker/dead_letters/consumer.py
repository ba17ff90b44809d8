"""What Celery throws away when it cannot make a job of a message: a dead letter first."""

import logging
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer
from celery.worker.state import reserved_requests, scheduled_requests
from vine import promise as vine_promise  # type: ignore[import-untyped]

from reference_worker.dead_letters import letter, transport

_log = logging.getLogger(__name__)


class FlushStep(bootsteps.StartStopStep):
    """Letters that could not be written are tried again on start and by the consumer's timer, in the main process."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._entry: Any = None

    def start(self, parent: Any) -> None:
        office = parent.app.reference_letters

        self.stop(parent)
        office.flush()
        transport.recover(parent.connection, office)
        self._entry = parent.timer.call_repeatedly(office.retry_seconds, office.flush)

    def stop(self, _parent: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    shutdown = stop


class DeadLetteringConsumer(Consumer):
    """Celery's consumer, with a dead letter before anything is thrown away.

    An exception that a message causes on its way to the pool is the message's end, not the main process's.
    """

    class Blueprint(Consumer.Blueprint):
        default_steps = (*Consumer.Blueprint.default_steps, FlushStep)

    def create_task_handler(self, promise: Any = vine_promise) -> Callable[[Any], None]:
        handle = super().create_task_handler(promise)
        bytes_max = self.app.reference_letters.body_bytes_max

        def on_task_received(message: Any) -> None:
            try:
                if message.body is not None and len(message.body) > bytes_max:
                    self._set_aside(message, f"its body has {len(message.body)} bytes, {bytes_max} are allowed")
                    return
                handle(message)
            except MemoryError:
                raise
            except Exception as error:
                # kombu counts KeyError among the connection errors; a header that is missing is one, too.
                is_lost = isinstance(error, self.connection_errors + self.channel_errors)
                if (is_lost and not isinstance(error, KeyError)) or _is_taken(message):
                    raise
                self._set_aside(message, f"{type(error).__name__}: {error}")

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._set_aside(
            message,
            f"{type(exc).__name__}: {exc}",
            lambda: super(DeadLetteringConsumer, self).on_decode_error(message, exc),
        )

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self._set_aside(
            message, "it names no task", lambda: super(DeadLetteringConsumer, self).on_unknown_message(body, message)
        )

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._set_aside(
            message,
            f"NotRegistered: {exc}",
            lambda: super(DeadLetteringConsumer, self).on_unknown_task(body, message, exc),
        )

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        self._set_aside(
            message,
            f"{type(exc).__name__}: {exc}",
            lambda: super(DeadLetteringConsumer, self).on_invalid_task(body, message, exc),
        )

    def _set_aside(self, message: Any, reason: str, discard: Callable[[], object] | None = None) -> None:
        """`discard` is Celery's way to throw it away, with log line and signals; it may stumble over the message."""

        def finish() -> None:
            try:
                if discard is not None:
                    discard()
            except Exception as error:
                _log.warning("Celery could not discard what is set aside: %s", type(error).__name__)
            if not message.acknowledged:
                message.reject_log_error(_log, self.connection_errors)

        self.app.reference_letters.set_aside(letter.of_message(message, reason=reason, started=0), then=finish)


def _is_taken(message: Any) -> bool:
    """It is a job already, and its own to end."""
    return any(request.message is message for request in (*reserved_requests, *scheduled_requests))
