"""A pool of children that waits where the kernel starts no more processes.

Celery's own ends its worker then: the child that could not be forked stays in the pool without a number, and when the
pool is looked after the next time it is stumbled over (KeyError). Seen with Celery 5.7.0 and billiard 4.3, prefork.
"""

import logging
from typing import Any

from celery import signals
from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool

_log = logging.getLogger(__name__)


class PatientPool(AsynPool):
    """Celery's pool; a child that cannot be started is tried again when the pool is looked after, every five seconds.

    Until then there is one fewer. A worker that cannot start its first ones still ends at once.
    """

    def _repopulate_pool(self, exitcodes: Any) -> None:
        try:
            super()._repopulate_pool(exitcodes)
        except OSError as error:
            for child in [each for each in self._pool if each.pid is None]:
                self._pool.remove(child)
                self._process_cleanup_queues(child)  # the next one has them
            _log.error("a pool child cannot be started and is tried again later: %s", error)


def connect() -> None:
    def install(**_: Any) -> None:
        prefork.TaskPool.Pool = PatientPool

    signals.worker_init.connect(install, weak=False)
