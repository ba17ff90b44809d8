"""How many files and connections processes may have open, changed from outside while they run."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from harness.system import SubjectError

_SECONDS_MAX = 30.0
_PROC = Path("/proc")
# A process may be limited by its own user; root may lack the right to limit those of others.
_LIMIT = """
import json, os, resource, sys
for pid, user, group, soft, hard in json.loads(sys.argv[1]):
    if os.getuid() != user:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    except ProcessLookupError:
        pass
"""


class Limit(Struct, frozen=True, array_like=True):
    """Of one process: below which number a file has to be that it opens, and who it is that may change that."""

    pid: int
    user: int
    group: int
    soft: int
    hard: int


@contextmanager
def no_more_files(processes: Callable[[], list[psutil.Process]]) -> Iterator[None]:
    """None of the processes can have one more; what is open stays. A child that comes meanwhile has its parent's limit.

    :raises SubjectError: this user may not limit them
    """
    before = {limit.pid: limit for limit in _limits(processes())}
    if not before:
        raise SubjectError("the worker has ended, so its open files cannot be limited")
    try:
        _set(msgspec.structs.replace(limit, soft=_lowest_free(limit)) for limit in before.values())
        yield
    finally:
        soft = max(limit.soft for limit in before.values())
        with suppress(SubjectError, psutil.Error):  # it may have ended by itself
            _set(msgspec.structs.replace(limit, soft=soft) for limit in _limits(processes()))


def _limits(processes: Iterable[psutil.Process]) -> Iterator[Limit]:
    for process in processes:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            line = (_PROC / str(process.pid) / "limits").read_text().partition("Max open files")[2]
            soft, hard = (int(word) for word in line.split()[:2])
            yield Limit(process.pid, process.uids().real, process.gids().real, soft, hard)


def _lowest_free(limit: Limit) -> int:
    """The number that its next file would have: not how many there are, for there are gaps."""
    with suppress(FileNotFoundError, ProcessLookupError):
        used = {int(each.name) for each in (_PROC / str(limit.pid) / "fd").iterdir()}
        return next(number for number in range(len(used) + 1) if number not in used)
    return limit.soft


def _set(limits: Iterable[Limit]) -> None:
    words = [sys.executable, "-I", "-S", "-c", _LIMIT, msgspec.json.encode(list(limits)).decode()]
    try:
        ran = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SubjectError(f"the worker's open files could not be limited: {error}") from error
    if ran.returncode != 0:
        told = ran.stderr.strip().splitlines()[-1:] or ["it did not say why"]
        raise SubjectError(f"the worker's open files could not be limited: {told[0]}")
