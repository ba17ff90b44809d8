"""The harness's hand in the subject's environment: enqueues jobs, prepares state, tells versions and settings.

Run by path with the subject's own Python: `python agent.py APP SOCKET`. Standard library and the subject's Celery only.
One JSON object a line, each way, over the Unix socket.
"""

import importlib
import json
import os
import platform
import socket
import sys
import traceback
from typing import Any

TOLD_SETTINGS = (
    "task_acks_late",
    "task_reject_on_worker_lost",
    "task_acks_on_failure_or_timeout",
    "task_time_limit",
    "task_soft_time_limit",
    "worker_prefetch_multiplier",
    "task_default_queue",
    "task_serializer",
    "result_backend",
)


def version_of(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except Exception:  # any failure to import is the answer
        return ""


def describe(app: Any) -> Any:
    settings = {name: getattr(app.conf, name, None) for name in TOLD_SETTINGS}
    if settings["result_backend"]:
        settings["result_backend"] = str(settings["result_backend"]).split("://")[0]  # it may hold a password
    options = dict(app.conf.broker_transport_options or {})
    told = ("visibility_timeout", "unacked_key", "unacked_index_key", "unacked_mutex_key", "global_keyprefix")
    settings["broker_transport_options"] = {name: options[name] for name in told if name in options}
    versions = {
        "python": platform.python_version(),
        "celery": version_of("celery"),
        "kombu": version_of("kombu"),
        "billiard": version_of("billiard"),
        "redis client": version_of("redis"),
    }
    return {
        "versions": versions,
        "settings": json.loads(json.dumps(settings, default=str)),
        "tasks": {name: {"acks_late": bool(task.acks_late)} for name, task in sorted(app.tasks.items())},
    }


def prepare(reference: str, arguments: Any) -> Any:
    """In a process of its own: what it keeps open (a pool of connections) is not to outlast the files that it made."""
    module, _, name = reference.partition(":")
    function = getattr(importlib.import_module(module), name)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        said: dict[str, Any] = {}
        try:
            function(arguments)
        except BaseException as error:  # hostile code, as below
            traceback.print_exc()
            said = {"error": last_line(error)}
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(write, json.dumps(said).encode() + b"\n")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.readline()
    _, status = os.waitpid(pid, 0)
    return json.loads(data) if data else {"error": f"its process ended with {status}"}


def enqueue(app: Any, request: Any) -> Any:
    options = {"task_id": request["message"], "kwargs": request["arguments"]}
    task = app.tasks.get(request["task"])
    if task is None:
        app.send_task(request["task"], **options)
    else:
        if not request["checked"]:
            task.typing = False  # a poisoned job is sent as a stranger would send it: nobody checks its arguments
        try:
            task.apply_async(**options)
        finally:
            if "typing" in vars(task):
                del task.typing
    return {}


def answer(app: Any, request: Any) -> Any:
    if request["op"] == "describe":
        return describe(app)
    if request["op"] == "prepare":
        return prepare(request["function"], request["arguments"])
    if request["op"] == "enqueue":
        return enqueue(app, request)
    return {"error": "unknown request"}


def last_line(error: BaseException) -> str:
    return traceback.format_exception_only(type(error), error)[-1].strip()


def main() -> None:
    sys.path[0] = os.getcwd()
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.connect(sys.argv[2])
    lines = link.makefile("rb")

    def say(message: Any) -> None:
        link.sendall(json.dumps(message).encode() + b"\n")

    try:
        from celery.app.utils import find_app

        app = find_app(sys.argv[1])
        app.finalize()
        app.loader.import_default_modules()
    except BaseException as error:  # hostile code: whatever it raises, SystemExit included, is the answer
        traceback.print_exc()
        say({"error": last_line(error)})
        return
    say({"ready": True})
    for line in lines:
        try:
            say(answer(app, json.loads(line)))
        except BaseException as error:  # as above
            traceback.print_exc()
            say({"error": last_line(error)})


if __name__ == "__main__":
    main()
