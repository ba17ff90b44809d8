"""A session: one directory, one keeper, and through it every process that a run starts.

The keeper holds the lock of the session's directory. A directory whose lock is free belongs to a session whose harness
*and* keeper are dead: the next session to start ends what they left behind and removes it.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from harness.keeper import MARKER, marked
from harness.lane import ExitListener

MEMORY_BYTES_MIN = 1 << 29
START_SECONDS_MAX = 30.0


class HarnessError(RuntimeError):
    """The harness itself could not do its work; the subject is not to blame."""


class Session:
    """Spawns processes through the keeper; they end, all of them, when this object or this process ends.

    Thread-safe: lanes share one session.
    """

    def __init__(self, directory: Path, control: socket.socket, keeper: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self._control = control
        self._keeper = keeper
        self._changed = threading.Condition()
        self._replies: dict[int, dict[str, Any]] = {}
        self._exits: dict[int, str] = {}
        self._listeners: dict[int, ExitListener] = {}
        self._said: dict[int, dict[str, Any]] = {}
        self._next_id = 0
        self._asked: set[int] = set()  # ids of requests that the keeper has not answered
        self._started: set[int] = set()  # what it has started, and runs
        self._closed = False
        self._reader = threading.Thread(target=self._listen, name="keeper-reader", daemon=True)
        self._reader.start()

    def has_disowned(self, process: psutil.Process) -> bool:
        """Whether it is an orphan that has put off its environment, and with it all that tells from which lane it came.

        The keeper's children are what it has started, and on Linux orphans. What it has started may hide its
        environment behind a title, as a broker does, but is known by its number.
        """
        if process.ppid() != self._keeper.pid or MARKER in process.environ():
            return False
        with self._changed:
            being_started = set(self._asked)  # one of them may be this one
            self._changed.wait_for(lambda: not being_started & self._asked or self._closed, timeout=START_SECONDS_MAX)
            return not being_started & self._asked and process.pid not in self._started

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: Path,
        on_exit: ExitListener | None = None,
        forks: bool = False,
        forker: int = 0,
    ) -> int:
        """Start a program in its own process group and return its pid.

        `on_exit` is told (pid, "exit 1" or "SIGKILL") once, from another thread. A program that `forks` (see
        `harness.forking`; Linux) can be named as the `forker` of others: they are forked from it instead of executed,
        and are like any other process in every other respect.

        :raises HarnessError: it cannot be started, or the keeper is gone
        """
        with self._changed:
            self._next_id += 1
            number = self._next_id
            self._asked.add(number)
        request = {
            "id": number,
            "argv": list(argv),
            "env": {**environment, MARKER: self.directory.name},
            "cwd": str(cwd),
            "log": str(log),
            "forks": forks,
            "forker": forker,
        }
        try:
            self._control.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise HarnessError(f"the keeper is gone ({error.strerror}); nothing can be started") from error
        with self._changed:
            self._changed.wait_for(lambda: number in self._replies or self._closed, timeout=START_SECONDS_MAX)
            reply = self._replies.pop(number, {"error": "the keeper did not answer"})
            if "error" in reply:
                raise HarnessError(f"could not start {reply['error']}")
            pid = int(reply["pid"])
            if on_exit is not None:
                if pid in self._exits:
                    threading.Thread(target=on_exit, args=(pid, self._exits[pid])).start()
                else:
                    self._listeners[pid] = on_exit
            return pid

    def exit_of(self, pid: int) -> str | None:
        """How a spawned process ended; None while it runs."""
        with self._changed:
            return self._exits.get(pid)

    def wait_forker(self, pid: int, *, within: float) -> dict[str, Any] | None:
        """What a program that forks says of itself; None if it ended or said nothing in time."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._said or pid in self._exits or self._closed, timeout=within)
            return self._said.get(pid)

    def wait_exit(self, pid: int, *, within: float) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: pid in self._exits or self._closed, timeout=within)
            return self._exits.get(pid)

    @contextmanager
    def lane(self, name: str) -> Iterator["LocalLane"]:
        """A directory of its own for logs and sockets, and the processes started in it, which end with it."""
        lane = LocalLane(self, self.directory / name)
        lane.directory.mkdir(mode=0o700)
        try:
            yield lane
        finally:
            lane.end()

    def close(self) -> None:
        """End every process of the session and remove its directory; returns when that is done."""
        with self._changed:
            self._closed = True
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._keeper.wait()
        self._control.close()

    def _listen(self) -> None:
        buffer = b""
        while True:
            try:
                data = self._control.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                with self._changed:
                    self._closed = True
                    self._changed.notify_all()
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))

    def _hear(self, message: dict[str, Any]) -> None:
        listener = None
        with self._changed:
            if "exited" in message:
                pid, status = int(message["exited"]), exit_words(int(message["status"]))
                self._exits[pid] = status
                self._started.discard(pid)
                listener = self._listeners.pop(pid, None)
            elif "forker" in message:
                self._said[int(message["forker"])] = dict(message["said"])
            else:
                if "pid" in message:  # what is remembered of that number was another process's
                    for memory in (self._exits, self._said, self._listeners):
                        memory.pop(int(message["pid"]), None)
                    self._started.add(int(message["pid"]))
                self._asked.discard(int(message["id"]))
                self._replies[int(message["id"])] = message
            self._changed.notify_all()
        if listener is not None:
            listener(pid, status)


class LocalLane:
    """See `harness.lane.Lane`; its processes are the keeper's."""

    def __init__(self, session: Session, directory: Path) -> None:
        self.directory = directory
        self._session = session
        self._pids: list[int] = []

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: str,
        image: str = "",
        on_exit: ExitListener | None = None,
        forks: bool = False,
        forker: int = 0,
        writes: Sequence[Path] = (),
    ) -> int:
        del image, writes  # it is none, and sees every file of this machine's
        pid = self._session.spawn(
            argv,
            environment=environment,
            cwd=cwd,
            log=self.directory / log,
            on_exit=on_exit,
            forks=forks,
            forker=forker,
        )
        self._pids.append(pid)
        return pid

    def exit_of(self, pid: int) -> str | None:
        return self._session.exit_of(pid)

    def wait_forker(self, pid: int, *, within: float) -> dict[str, Any] | None:
        return self._session.wait_forker(pid, within=within)

    def descendants(self) -> set[int]:
        found = set()
        for pid in self.running():
            with suppress(psutil.Error):
                found |= {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
        return found

    def running(self) -> list[int]:
        return [pid for pid in self._pids if self._session.exit_of(pid) is None]

    def end(self) -> None:
        """Kill what was spawned and its descendants. What has daemonised itself belongs to the keeper by now."""
        running = self.running()
        for pid in running:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                for each in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        each.kill()
        for pid in running:
            self._session.wait_exit(pid, within=10)


def exit_words(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    return signal.Signals(-code).name


@contextmanager
def open_session(*, in_memory: bool = False) -> Iterator[Session]:
    """A fresh session; whatever dead sessions left behind is swept up first.

    `in_memory`: its directory is in memory if there is room. What a killed process has written is there as on a disk,
    and a commit does not wait for one.
    """
    root = _root(_memory() if in_memory else None)
    sweep(root)
    directory, lock = _claim(root)
    ours, theirs = socket.socketpair()
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.keeper", str(theirs.fileno()), str(lock), str(directory)],
            pass_fds=(theirs.fileno(), lock),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
    finally:
        theirs.close()
        os.close(lock)  # the keeper's copy holds it
    session = Session(directory, ours, keeper)
    try:
        yield session
    finally:
        session.close()


def _claim(root: Path) -> tuple[Path, int]:
    """A new directory and its lock, which is held before the directory can be seen by another session's sweep."""
    name = secrets.token_hex(4)
    hidden = root / f".{name}"
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return hidden.rename(root / name), lock


def _memory() -> Path | None:
    """A file system in memory with room for a session."""
    place = Path("/dev/shm")  # noqa: S108 - the directory below it is private, see `_root`
    try:
        status = os.statvfs(place)
    except OSError:
        return None
    has_room = status.f_bavail * status.f_frsize >= MEMORY_BYTES_MIN
    return place if has_room and os.access(place, os.W_OK) else None


def _root(place: Path | None = None) -> Path:
    root = (place or Path(tempfile.gettempdir())) / f"jobproof-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    status = root.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or root.is_symlink():
        raise HarnessError(f"{root} is not a private directory of this user; remove it or set TMPDIR")
    return root


def roots() -> list[Path]:
    """The folders of all sessions of this user."""
    found = {_root(place) for place in (None, _memory())}
    return sorted(found)


def sweep(root: Path) -> list[str]:
    """End and remove what sessions left behind whose harness and keeper are both dead; the names of those sessions."""
    swept = []
    for directory in root.iterdir():
        if directory.name.startswith("."):
            continue  # being made
        try:
            lock = os.open(directory / "lock", os.O_RDWR)
        except OSError:
            continue  # being removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its keeper lives
        else:
            for process in marked(directory.name):
                with suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(directory, ignore_errors=True)
            swept.append(directory.name)
        finally:
            os.close(lock)
    return swept
