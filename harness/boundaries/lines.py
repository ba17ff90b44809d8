"""Tells which line of the subject's code a process is at, for the supervisor to read when it stops at a boundary.

Loaded into the subject by its path, so: standard library only, and nothing of the harness. A trace function keeps the
line in a shared page of a file that is named by the process: no call is made for it that a supervisor could see.

The line is the one of the task's own function where that is on the stack, else of the innermost frame of the subject's
code; libraries are nobody's. Tracing makes Python slow, so only a run that is not judged is traced, and a subject that
traces itself (a debugger, a coverage tool) is left alone: its lines are not known.
"""

import inspect
import mmap
import os
import sys
import threading
from pathlib import Path
from typing import Any

LENGTH_MAX = 2048
_FRAMES_MAX = 200
_FOREIGN = ("site-packages", "dist-packages")


class Tracer:
    """Of one execution of a task's body in the calling thread; `end` it in the same thread."""

    def __init__(self, directory: str, task: Any) -> None:
        self._code = _code_of(task)
        self._roots = _roots_of(task)
        self._names: dict[str, str] = {}  # of each file seen so far what it is called; empty: it is not the subject's
        self._thread = threading.get_native_id()
        with Path(directory, str(os.getpid())).open("w+b") as file:
            file.truncate(LENGTH_MAX)
            self._page = mmap.mmap(file.fileno(), LENGTH_MAX)

    def begin(self) -> None:
        if sys.gettrace() is None:
            sys.settrace(self._at_call)
            os.register_at_fork(after_in_child=self._forget)

    def end(self) -> None:
        if sys.gettrace() == self._at_call:
            sys.settrace(None)
        self._tell("")

    def _forget(self) -> None:
        """In a process that the body forks: the page is its parent's."""
        if sys.gettrace() == self._at_call:
            sys.settrace(None)

    def _at_call(self, frame: Any, _event: str, _argument: Any) -> Any:
        if not self._name(frame):
            return None
        self._tell_of(frame)
        return self._in_frame

    def _in_frame(self, frame: Any, event: str, _argument: Any) -> Any:
        if event == "line":
            self._tell_of(frame)
        elif event == "return":  # what its caller does next in the same line is its caller's
            self._tell_of(frame.f_back)
        return self._in_frame

    def _tell_of(self, frame: Any) -> None:
        innermost = None
        for _ in range(_FRAMES_MAX):
            if frame is None:
                break
            if frame.f_code is self._code:
                innermost = frame
                break
            if innermost is None and self._name(frame):
                innermost = frame
            frame = frame.f_back
        self._tell("" if innermost is None else f"{self._name(innermost)}:{innermost.f_lineno}")

    def _tell(self, where: str) -> None:
        told = f"{self._thread} {where}".encode(errors="replace")[: LENGTH_MAX - 1] + b"\0"
        self._page[: len(told)] = told

    def _name(self, frame: Any) -> str:
        path = frame.f_code.co_filename
        if path not in self._names:
            # What has no file, such as "<frozen runpy>", is Python's own.
            self._names[path] = "" if path.startswith("<") else self._name_of(Path(path).absolute())
        return self._names[path]

    def _name_of(self, path: Path) -> str:
        for below, base in self._roots:
            if path.is_relative_to(below):
                name = path.relative_to(base)
                return "" if any(each in _FOREIGN for each in name.parts) else str(name)
        return ""


def read(directory: str, pid: int, thread: int) -> str:
    """The line that a thread of a process is at, as `file:line`; empty where that is not known."""
    try:
        with Path(directory, str(pid)).open("rb") as file:
            told = file.read(LENGTH_MAX)
    except OSError:
        return ""
    owner, _, where = told.partition(b"\0")[0].decode(errors="replace").partition(" ")
    return where if owner == str(thread) else ""


def _code_of(task: Any) -> Any:
    """Of the function that a person has written, below its decorators."""
    run = inspect.unwrap(getattr(task, "run", task))
    return getattr(getattr(run, "__func__", run), "__code__", None)


def _roots_of(task: Any) -> list[tuple[Path, Path]]:
    """Where the subject's code lies, and from where on its files are named.

    It is the folder that the subject is started in, and the task's own package or module wherever it is installed.
    """
    package = str(getattr(task, "__module__", "")).partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None)
    found = [(Path.cwd(), Path.cwd())]
    if file:
        own = Path(file).absolute()
        own = own.parent if own.stem == "__init__" else own
        found.append((own, own.parent))
    return found
