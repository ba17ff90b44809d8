"""Loaded into the subject's worker: `python probe.py -A app worker ...` is `celery -A app worker ...`, observed.

Standard library and the subject's own Celery only, by file path, so that the subject's environment stays as it is. It
writes each event with one O_APPEND write before the next line of worker code runs, and asks the harness's gate at each
crash point whether to go on. A gate that is gone lets everything pass.
"""

import errno
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any

EVENTS = os.environ["JOBPROOF_EVENTS"]
GATE = os.environ["JOBPROOF_GATE"]
NODE = os.environ["JOBPROOF_NODE"]
ORIGIN = float(os.environ["JOBPROOF_ORIGIN"])
COUNTDOWN_SECONDS_MAX = 10.0  # a longer wait is shortened, and each time it is said
SHORTENED_TO_SECONDS = 1.0
SOFT_LIMIT = signal.SIGUSR1  # by which billiard tells a pool child that it has come
LINES = os.environ.get("JOBPROOF_LINES", "")  # a folder that is there only while lines are asked for
TRACING: "dict[str, Any]" = {}
TRACERS: "list[Any]" = []
# A descriptor that is kept for when there are none left, so that this is told, too; pool children inherit it.
SPARE: "list[int]" = []


def record(event: str, **fields: Any) -> None:
    line = {"event": event, "at": time.monotonic() - ORIGIN, "source": NODE}
    line.update(fields)
    # Opened anew each time: a subject may close every descriptor it does not know, as daemons do.
    try:
        descriptor = open_events()
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        let_go_of_spare()
        descriptor = open_events()
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)
        keep_spare()


def open_events() -> int:
    return os.open(EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def keep_spare() -> None:
    try:
        if not SPARE:
            SPARE.append(open_events())
    except OSError:
        pass  # the next time, then


def let_go_of_spare() -> None:
    if not SPARE:
        return
    descriptor = SPARE.pop()
    try:
        # A subject may have closed it, and have the number in use for something of its own.
        if os.path.samestat(os.fstat(descriptor), os.stat(EVENTS)):
            os.close(descriptor)
    except OSError:
        pass


def stand_at(point: str, **fields: Any) -> None:
    question = {"point": point, "node": NODE, "pid": os.getpid(), "clock": time.time()}
    question.update(fields)
    let_go_of_spare()  # one instead of the other: whoever is held here has none more than when he goes on
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(GATE)
        link.sendall(json.dumps(question).encode() + b"\n")
        link.recv(4096)
    except OSError:
        pass
    finally:
        link.close()
        keep_spare()


class Undisturbed:
    """A soft limit that falls due while the probe speaks is told to the worker when it has spoken.

    Raised in the middle of a word it would be lost on the body, which is over or has not begun, and the word with it:
    a body whose end was never told would be waited for in vain.
    """

    def __enter__(self) -> None:
        self.came: list[Any] = []
        self.previous: Any = None
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(SOFT_LIMIT)):
            self.previous = signal.signal(SOFT_LIMIT, lambda *told: self.came.append(told))

    def __exit__(self, *_: object) -> None:
        if self.previous is not None:
            signal.signal(SOFT_LIMIT, self.previous)
            for told in self.came:
                self.previous(*told)


def on_worker_ready(**_: Any) -> None:
    stand_at("worker-ready")


def on_received(request: Any = None, **_: Any) -> None:
    """A message whose ETA is minutes away is due in a moment, as if the time had passed.

    celery/worker/strategy.py sends this signal before it asks the request for its ETA, in 5.3 to 5.7. The message in
    the broker stays as it is: the task sees its own ETA, and a redelivery comes here again.
    """
    eta = getattr(request, "eta", None)
    if eta is None or eta.tzinfo is None:
        return
    now = datetime.now(eta.tzinfo)
    left = (eta - now).total_seconds()
    if left <= COUNTDOWN_SECONDS_MAX:
        return
    request._eta = now + timedelta(seconds=SHORTENED_TO_SECONDS)  # noqa: SLF001 - nothing public sets it
    retries = (getattr(request, "request_dict", None) or {}).get("retries") or 0
    record("CountdownShortened", message=request.id, retries=retries, seconds=left, to_seconds=SHORTENED_TO_SECONDS)
    stand_at("countdown-shortened", message=request.id)


def on_prerun(task_id: Any = None, task: Any = None, **_: Any) -> None:
    name = getattr(task, "name", "")
    retries = getattr(getattr(task, "request", None), "retries", 0) or 0
    with Undisturbed():
        record("AttemptStarted", message=task_id, task=name, pid=os.getpid(), retries=retries)
        stand_at("body-began", message=task_id, root=str(getattr(getattr(task, "request", None), "root_id", "") or ""))
    tell_lines(task)


def on_postrun(task_id: Any = None, state: Any = None, **_: Any) -> None:
    while TRACERS:
        TRACERS.pop().end()
    with Undisturbed():
        record("AttemptEnded", message=task_id, pid=os.getpid(), state=str(state))
        stand_at("body-ended", message=task_id, state=str(state))


def on_publish(sender: Any = None, headers: Any = None, **_: Any) -> None:
    headers = headers or {}
    message = headers.get("id")
    if message:
        root = headers.get("root_id") or message
        parent = headers.get("parent_id") or ""
        record("Published", message=message, root=root, parent=parent, task=str(sender or headers.get("task")))


def tell_lines(task: Any) -> None:
    """In a run whose lines are asked for: from here on it is known at which one the body is."""
    if TRACING and os.path.isdir(LINES):
        TRACERS.append(TRACING["Tracer"](LINES, task))
        TRACERS[-1].begin()


def come_under_supervision() -> None:
    """Where crash points are explored: from here on each send is shown to the supervisor first."""
    listeners = os.environ.get("JOBPROOF_LISTENERS")
    if listeners:
        runpy.run_path(os.environ["JOBPROOF_USER_NOTIFY"])["install"](listeners, "main")
    if os.environ.get("JOBPROOF_CLEAR_TEXTS"):
        runpy.run_path(os.environ["JOBPROOF_CLEAR_TEXT"])["install"](os.environ["JOBPROOF_CLEAR_TEXTS"])
    if LINES:
        TRACING.update(runpy.run_path(os.environ["JOBPROOF_TRACING"]))


def hasten_pool() -> None:
    """Where crash points are explored: a dead child is looked for more often than every 5 s, Celery's own period."""
    seconds = os.environ.get("JOBPROOF_POOL_SECONDS")
    if seconds:
        from celery.concurrency import asynpool

        asynpool.AsynPool.timers = property(lambda pool: {pool.maintain_pool: float(seconds)})


def main() -> None:
    keep_spare()
    come_under_supervision()
    sys.path[0] = os.getcwd()  # as for `celery`: not the folder of this file, whose names could hide the subject's
    sys.argv[0] = "celery"
    from celery import signals
    from celery.__main__ import main as celery

    signals.worker_ready.connect(on_worker_ready, weak=False)
    signals.task_received.connect(on_received, weak=False)
    signals.task_prerun.connect(on_prerun, weak=False)
    signals.task_postrun.connect(on_postrun, weak=False)
    signals.before_task_publish.connect(on_publish, weak=False)
    hasten_pool()
    celery()


if __name__ == "__main__":
    main()
