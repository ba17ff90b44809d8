"""The process that owns every process of a session and ends them all when the harness is gone.

Started as `python -m harness.keeper CONTROL_FD LOCK_FD DIRECTORY`, in a session of its own so that Ctrl-C does not
reach it. It takes requests on the control socket, one JSON object a line, and reports exits. When the socket closes,
however the harness died, it kills all its descendants, removes the session's directory and exits.

On Linux it is a subreaper: orphans of its children become its own, so that nothing escapes by double-forking.
Elsewhere a marker in the environment is scanned for. Workers inherit neither the control socket nor the lock.
"""

import ctypes
import errno
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.forking import LINK

LOG_BYTES_MAX = 1 << 20
MARKER = "JOBPROOF_SESSION"
PR_SET_CHILD_SUBREAPER = 36
FORK_SECONDS_MAX = 10.0
# By the keeper, or by any Python: what it starts is to find them as from a shell.
IGNORED = (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGXFSZ)
_READ_BYTES = 1 << 16


class Log:
    """What one process printed, from a pipe into a file, up to a cap; the rest is counted and dropped."""

    def __init__(self, path: str) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.written = 0
        self.dropped = 0

    def pump(self) -> bool:
        """Move what is there; False once every writer has closed."""
        try:
            data = os.read(self.read_end, _READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            self.close()
            return False
        kept = data[: max(0, LOG_BYTES_MAX - self.written)]
        with suppress(OSError):  # a full disk must not end the keeper, whose duty is to clean up
            os.write(self.file, kept)
        self.written += len(kept)
        self.dropped += len(data) - len(kept)
        return True

    def close(self) -> None:
        with suppress(OSError):
            if self.dropped:
                os.write(self.file, f"\n[jobproof: {self.dropped} further bytes dropped]\n".encode())
        os.close(self.read_end)
        os.close(self.file)


class Keeper:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.buffer = b""
        self.forkers: dict[int, socket.socket] = {}
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wake_read, selectors.EVENT_READ, "wake")
        self.selector.register(control, selectors.EVENT_READ, "control")

    def serve(self) -> None:
        """Until the control socket closes."""
        while True:
            for key, _ in self.selector.select():
                if key.data == "control":
                    if not self._requests():
                        return
                elif key.data == "wake":
                    os.read(key.fd, _READ_BYTES)
                elif isinstance(key.data, int):
                    self._heard_forker(key.data)
                elif not key.data.pump():
                    self.selector.unregister(key.fd)
            self._reap()

    def _requests(self) -> bool:
        try:
            data = self.control.recv(_READ_BYTES)
        except OSError:
            return False
        if not data:
            return False
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                pid = self._fork(request) if request["forker"] else self._spawn(request)
                self._say({"id": request["id"], "pid": pid})
            except OSError as error:
                self._say({"id": request["id"], "error": f"{request['argv'][0]}: {error.strerror}"})
        return True

    def _spawn(self, request: dict[str, Any]) -> int:
        log = Log(request["log"])
        error_read, error_write = os.pipe()
        links = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) if request["forks"] else None
        pid = os.fork()
        if pid == 0:
            self._become(request, log, error_write, links[1] if links is not None else None)
        os.close(error_write)
        os.close(log.write_end)
        with os.fdopen(error_read, "rb") as pipe:
            failed = pipe.read()
        self.selector.register(log.read_end, selectors.EVENT_READ, log)
        if links is not None:
            links[1].close()
            links[0].settimeout(FORK_SECONDS_MAX)
            self.forkers[pid] = links[0]
            self.selector.register(links[0], selectors.EVENT_READ, pid)
        if failed:
            raise OSError(int(failed), os.strerror(int(failed)))
        return pid

    def _heard_forker(self, pid: int) -> None:
        """Pass on the one thing that a forker says unasked: whether it can fork. It is the subject's, so no more."""
        link = self.forkers[pid]
        self.selector.unregister(link)
        with suppress(OSError, ValueError):
            if said := link.recv(_READ_BYTES):
                self._say({"forker": pid, "said": json.loads(said)})

    def _fork(self, request: dict[str, Any]) -> int:
        """Have a forker fork. The new process is this one's child, and its exit is told like any other's.

        :raises OSError: it is gone, does not answer in time, or names a process that is not a child of this one
        """
        link = self.forkers.get(request["forker"])
        if link is None:
            raise ProcessLookupError(errno.ESRCH, "the process that was to fork is gone")
        log = Log(request["log"])
        try:
            socket.send_fds(link, [json.dumps(request).encode()], [log.write_end])
            answer = json.loads(link.recv(_READ_BYTES) or b"{}")
            pid = int(answer["pid"]) if answer.get("id") == request["id"] else 0
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.close()
            raise ProcessLookupError(errno.ESRCH, f"the process that was to fork did not ({error})") from error
        finally:
            os.close(log.write_end)
        self.selector.register(log.read_end, selectors.EVENT_READ, log)
        return pid

    @staticmethod
    def _become(request: dict[str, Any], log: Log, error_write: int, link: socket.socket | None) -> None:
        """In the forked child: turn into the requested program. Never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in IGNORED:
                signal.signal(number, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a killed subject leaves no core files behind
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log.write_end, 1)
            os.dup2(log.write_end, 2)
            if link is not None:
                if error_write == LINK:
                    error_write = os.dup(error_write)
                    os.set_inheritable(error_write, False)
                os.dup2(link.fileno(), LINK)
                os.set_inheritable(LINK, True)  # which dup2 does not see to if it was there already
            os.chdir(request["cwd"])
            os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - running it is the point
        except OSError as error:
            os.write(error_write, str(error.errno).encode())
        finally:
            os._exit(127)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self.forkers:
                    self._forget_forker(pid)
                self._say({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _forget_forker(self, pid: int) -> None:
        link = self.forkers.pop(pid)
        with suppress(KeyError):
            self.selector.unregister(link)
        link.close()

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the harness died; the next read of the socket tells
            self.control.sendall(json.dumps(message).encode() + b"\n")


def end_descendants(marker: str) -> None:
    """Kill everything below this process until nothing is left, orphans and late forks included."""
    import psutil  # after the duty calls, so that the keeper itself starts fast

    me = psutil.Process()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        below = me.children(recursive=True)
        if sys.platform != "linux":
            below += marked(marker)
        for process in below:
            with suppress(psutil.Error):
                process.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not below:
            return
        time.sleep(0.005)


def marked(marker: str) -> list[Any]:
    """Processes of this user whose environment carries the session's marker, this process excepted."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER) == marker:
                found.append(process)
    return found


def main() -> None:
    control_fd, lock_fd, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for descriptor in (control_fd, lock_fd):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        Keeper(socket.socket(fileno=control_fd)).serve()
    finally:
        end_descendants(directory.name)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
