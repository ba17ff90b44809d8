"""Where dead letters wait while the table cannot be written: one file a letter, on a local disk."""

import base64
import json
import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from reference_worker.dead_letters.letter import DeadLetter

_log = logging.getLogger(__name__)
# What a killed writer left behind; its message was not acknowledged and comes back.
_UNFINISHED_SECONDS_MAX = 60.0
_TIMES = ("first_given_up_at", "last_given_up_at", "replayed_at")


class Spool:
    """A directory that several workers may share: what is written twice is one letter, by its message id."""

    def __init__(self, directory: str | Path) -> None:
        # Absolute at once: a worker may change its directory when it becomes a daemon.
        self.directory = Path(directory).absolute()

    def add(self, letter: DeadLetter) -> None:
        """On the disk, not only in its cache, when this returns.

        :raises OSError: it could not be written
        """
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self.directory.parent)
        name = uuid.uuid4().hex
        unfinished = self.directory / f".{name}.tmp"
        try:
            with unfinished.open("x", encoding="ascii") as file:
                file.write(_text(letter))
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.directory / f"{name}.json")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        _sync(self.directory)

    def flush(self, add: Callable[[DeadLetter], None]) -> int:
        """Hand every letter to `add`, which must ignore what it has already, and forget it; how many those were.

        What cannot be read stays where it is. Whatever `add` raises ends the flush and is passed on.
        """
        flushed = 0
        for path in self._files(".json"):
            try:
                letter = _letter(path.read_text(encoding="ascii"))
            except FileNotFoundError:
                continue  # another worker was faster
            except (OSError, ValueError, TypeError, KeyError) as error:
                _log.error("%s in the spool is no dead letter and stays there: %r", path.name, error)
                continue
            add(letter)
            path.unlink(missing_ok=True)
            flushed += 1
        for path in self._files(".tmp"):
            try:
                if time.time() - path.stat().st_mtime > _UNFINISHED_SECONDS_MAX:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
        return flushed

    def _files(self, suffix: str) -> list[Path]:
        try:
            return [Path(entry.path) for entry in os.scandir(self.directory) if entry.name.endswith(suffix)]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _text(letter: DeadLetter) -> str:
    values = asdict(letter)
    values["body"] = base64.b64encode(letter.body).decode()
    for name in _TIMES:
        values[name] = values[name] and values[name].isoformat()
    return json.dumps(values)


def _letter(text: str) -> DeadLetter:
    values = json.loads(text)
    values["body"] = base64.b64decode(values["body"])
    for name in _TIMES:
        values[name] = values[name] and datetime.fromisoformat(values[name])
    return DeadLetter(**values)
