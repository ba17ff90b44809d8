"""Where the main process hands in what it gives up: the table, else the spool, else memory until one of them works."""

import logging
import threading
from collections.abc import Callable

from reference_worker.dead_letters.alert import Alert
from reference_worker.dead_letters.letter import DeadLetter
from reference_worker.dead_letters.spool import Spool
from reference_worker.dead_letters.table import Table

_log = logging.getLogger(__name__)

Then = Callable[[], object]


class Office:
    """Nothing is acknowledged before its letter is on record, and nothing is lost or spins while it cannot be.

    What is only in memory is not acknowledged, so it outlives the process at the broker.
    """

    def __init__(
        self,
        *,
        table: Table,
        spool: Spool,
        alert: Alert,
        body_bytes_max: int,
        worker_losses_max: int,
        retry_seconds: float,
    ) -> None:
        self.table = table
        self.spool = spool
        self.alert = alert
        self.body_bytes_max = body_bytes_max
        self.worker_losses_max = worker_losses_max
        self.retry_seconds = retry_seconds
        self._waiting: list[tuple[DeadLetter, Then]] = []
        # Pools without an event loop call the timer from a thread of its own.
        self._lock = threading.RLock()

    def set_aside(self, letter: DeadLetter, *, then: Then) -> None:
        """Put the letter on record and then call `then`, which acknowledges: now, or when it can be written."""
        with self._lock:
            if self._record(letter):
                _finish(letter, then)
                return
            self._waiting.append((letter, then))
            self.alert.fire(
                f"dead letters can be written neither to the table nor to the spool; {len(self._waiting)} message(s), "
                f"the last {letter.message_id!r}, stay unacknowledged"
            )

    def flush(self) -> None:
        """What could not be written is tried again; called on start and by the worker's timer, and never raises."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            while waiting:
                letter, then = waiting[0]
                if not self._record(letter):
                    self._waiting = waiting + self._waiting
                    return
                del waiting[0]
                _finish(letter, then)
            self.alert.clear("dead letters can be written again")
            try:
                flushed = self.spool.flush(self.table.add)
            except Exception as error:  # the table is still away: the spool keeps them
                _log.warning("dead letters stay in the spool: %s", _first_line(error))
                return
            if flushed:
                _log.warning("%d dead letter(s) moved from the spool to the table", flushed)

    def is_waiting(self, message_id: str) -> bool:
        with self._lock:
            return any(letter.message_id == message_id for letter, _ in self._waiting)

    def _record(self, letter: DeadLetter) -> bool:
        try:
            self.table.add(letter)
        except Exception as error:  # whatever is wrong with the database
            _log.error("dead letter %r goes to the spool: %s", letter.message_id, _first_line(error))
        else:
            return True
        try:
            self.spool.add(letter)
        except Exception as error:  # or with the disk
            _log.error("and cannot be written there: %s", _first_line(error))
            return False
        return True


def _finish(letter: DeadLetter, then: Then) -> None:
    try:
        then()
    except Exception:  # on record already: delivered again, it is known
        _log.warning("the message of dead letter %r could not be acknowledged", letter.message_id, exc_info=True)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
