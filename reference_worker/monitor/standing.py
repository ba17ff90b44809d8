"""What may stand at the webhook, remembered from one monitor's process to the next.

Without it an alert that fires before a restart and is over after it would stand for ever. A file on a local disk: the
broker and the database may be what is down, and to resolve at each start whatever is well would tell everybody nine
times of nothing.
"""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from reference_worker.monitor.alerts import Alert

_log = logging.getLogger(__name__)


class Standing:
    """One monitor's file. Where it cannot be read or written that is logged, and alerts are told all the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = self._read()

    @property
    def kept(self) -> tuple[Alert, ...]:
        return self._kept

    def keep(self, alerts: Iterable[Alert]) -> None:
        """The last of each name and queue, as firing; on the disk before this returns, so call it before telling.

        What is resolved and not yet delivered belongs to it as well: the webhook does not know.
        """
        latest = {(alert.name, alert.queue): replace(alert, ends_at=None) for alert in alerts}
        standing = tuple(latest[key] for key in sorted(latest))
        if standing == self._kept:
            return
        try:
            self._write(standing)
        except OSError as error:  # and tried again with the next sample
            _log.warning("a restart will not know what is firing: %s", error)
        else:
            self._kept = standing

    def _read(self) -> tuple[Alert, ...]:
        try:
            return tuple(
                Alert(
                    name=str(each["name"]),
                    queue=str(each["queue"]),
                    summary=str(each["summary"]),
                    starts_at=float(each["starts_at"]),
                )
                for each in json.loads(self._path.read_text(encoding="utf-8"))
            )
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("what was firing before is not known: %r", error)
            return ()

    def _write(self, alerts: tuple[Alert, ...]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._path.with_name(f".{self._path.name}.tmp")
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump([asdict(alert) for alert in alerts], file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)
