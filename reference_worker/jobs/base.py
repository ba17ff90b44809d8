"""What every job does alike: bounded deliveries, retries, what is not retried."""

import errno
import inspect
import logging
from typing import Any, NoReturn

from celery import Task
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError

from reference_worker import database
from reference_worker.app import SETTINGS
from reference_worker.backoff import backoff_seconds, backoff_seconds_max
from reference_worker.downstream.errors import TemporaryDownstreamError
from reference_worker.identity import identity_of
from reference_worker.postponing import give_back, postpone

_log = logging.getLogger(__name__)
# Tried again. The soft limit, too: it ends an attempt that a slow downstream has held up.
_TEMPORARY = (TemporaryDownstreamError, SoftTimeLimitExceeded)
# The machine that the worker runs on is in no state to work: it says nothing about the job.
_ILL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class WrongArgumentsError(TypeError):
    """The message cannot be meant for this task; no retry will change it."""


class Job(Task):
    """The base of all jobs. A body says what is to be done; what it raises says how it goes on.

    * a temporary error or the soft limit: tried again, `max_retries` times, with backoff
    * a database that is down, a disk that is full, no descriptor left: postponed, which uses up nothing
    * anything else: failed for good, which makes a dead letter
    """

    abstract = True
    max_retries = SETTINGS.retries_max
    wait_seconds_max = max(backoff_seconds_max(base_seconds=SETTINGS.backoff_seconds), SETTINGS.postpone_seconds)
    Request = "reference_worker.dead_letters.request:DeadLetteringRequest"

    def identity_of(self, args: Any, kwargs: Any) -> str:
        """The business identity: the same for the same work in another message. Never raises."""
        return identity_of(self.name, self.run, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.check_arguments(args, kwargs)
        if self.request.called_directly:
            self.run(*args, **kwargs)
            return
        deliveries = self.app.reference_deliveries
        identity = self.identity_of(args, kwargs)
        try:
            delivery = deliveries.begin(
                identity, message_id=str(self.request.id), hard_limit_seconds=self._hard_limit_seconds()
            )
        except (SQLAlchemyError, SoftTimeLimitExceeded) as error:
            # A body that is not counted must not start: it could kill its worker for ever. Nor is it the job's fault.
            _log.error("no delivery can be counted, %s is postponed: %s", identity, error)
            raise postpone(self, SETTINGS.postpone_seconds) from error
        try:
            self._attempt(args, kwargs)
        except (Retry, Ignore, Reject):
            deliveries.end(delivery)
            raise
        except Exception:
            self._close(identity, delivery)
            raise
        self._close(identity, delivery)

    def backoff_seconds(self) -> float:
        return backoff_seconds(self.request.retries, base_seconds=SETTINGS.backoff_seconds)

    def _attempt(self, args: Any, kwargs: Any) -> None:
        try:
            self.run(*args, **kwargs)
        except _TEMPORARY as error:
            self._try_again(error)
        except database.DOWN as error:
            _log.error("the database went down, %s is postponed: %s", self.name, error)
            raise postpone(self, SETTINGS.postpone_seconds) from error
        except OSError as error:
            if error.errno not in _ILL:
                raise
            _log.error("this machine cannot work, %s is postponed: %s", self.name, error)
            raise postpone(self, SETTINGS.postpone_seconds) from error

    def _try_again(self, error: Exception) -> NoReturn:
        try:
            raise self.retry(exc=error, countdown=self.backoff_seconds()) from error
        except Reject as unpublished:
            # Celery would throw the message away if its successor cannot be published.
            raise give_back(unpublished.reason, SETTINGS.postpone_seconds) from error
        except SoftTimeLimitExceeded as late:
            if late is error:
                raise  # the last retry is used up
            raise Reject(late, requeue=True) from error

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """:raises WrongArgumentsError: before anything is touched"""
        try:
            arguments = inspect.signature(self.run).bind(*args, **kwargs).arguments
        except TypeError as error:
            raise WrongArgumentsError(f"{self.name}: {error}") from error
        for name, value in arguments.items():
            if not isinstance(value, str):
                raise WrongArgumentsError(f"{self.name}: {name} is {type(value).__name__}, not a string")

    def _close(self, identity: str, delivery: str) -> None:
        deliveries = self.app.reference_deliveries
        try:
            deliveries.close(identity)
        except Exception:  # the job is over, and its books must not make a failure of it
            deliveries.end(delivery)

    def _hard_limit_seconds(self) -> float:
        return float(self.time_limit or self.app.conf.task_time_limit or SETTINGS.visibility_timeout_seconds)
