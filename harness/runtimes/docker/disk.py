"""What a worker writes to: no room left on it, or nothing to be written at all."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from harness.system import SubjectError

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - where Python and most others look for a place
SECONDS_MAX = 30.0
_PROGRAM = Path(__file__).with_name("mounts.py")


class Disk:
    """That of one container, known by a process in it.

    `directory` is where the subject writes beside its temporary files. Entering hurts, and has seen that it did: a file
    was tried. The rest of this machine sees nothing of it.
    """

    def __init__(self, pid: int, directory: Path) -> None:
        self._pid = pid
        self._places = (*TEMPORARY, str(directory))

    def full(self) -> AbstractContextManager[None]:
        """There is no room for one more file.

        :raises SubjectError: on entering: it cannot be done, or a file is open for writing there all the time
        """
        return self._changed("fill")

    def read_only(self) -> AbstractContextManager[None]:
        """Nothing can be written.

        :raises SubjectError: as `full`
        """
        return self._changed("protect")

    @contextmanager
    def _changed(self, change: str) -> Iterator[None]:
        self._change(change)
        try:
            yield
        finally:
            with suppress(SubjectError):  # it may have ended by itself meanwhile
                self._change("uncover")

    def _change(self, change: str) -> None:
        words = [sys.executable, "-I", "-S", str(_PROGRAM), str(self._pid), change, *self._places]
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SubjectError(f"the worker's disk could not be changed: {error}") from error
        if ran.returncode != 0:
            told = ran.stderr.strip().splitlines()[-1:] or ["it did not say why"]
            raise SubjectError(f"the worker's disk could not be changed: {told[0]}")
