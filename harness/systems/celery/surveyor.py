"""Tells what a subject's Celery application and its tasks are set to: `python surveyor.py APP PIPE SECONDS`.

Run by path with the subject's own Python, which may be an old one. Standard library and the subject's Celery only. One
JSON object is written to PIPE, whatever the subject prints. It connects to nothing, and tells no secret: of an address
the scheme, of a setting that is text only where it is one of the known ones.
"""

import functools
import importlib
import inspect
import json
import os
import platform
import sys
import sysconfig
import threading
import traceback
import weakref
from typing import Any

SETTINGS = (
    "accept_content",
    "broker_connection_max_retries",
    "broker_connection_retry",
    "broker_connection_retry_on_startup",
    "broker_connection_timeout",
    "broker_heartbeat",
    "enable_utc",
    "result_accept_content",
    "result_expires",
    "result_serializer",
    "task_acks_late",
    "task_acks_on_failure_or_timeout",
    "task_always_eager",
    "task_create_missing_queues",
    "task_default_queue",
    "task_ignore_result",
    "task_reject_on_worker_lost",
    "task_serializer",
    "task_soft_time_limit",
    "task_time_limit",
    "timezone",
    "worker_concurrency",
    "worker_disable_prefetch",
    "worker_pool",
    "worker_prefetch_multiplier",
)
TASK_OPTIONS = (
    "acks_late",
    "acks_on_failure_or_timeout",
    "acks_on_failure",
    "acks_on_timeout",
    "default_retry_delay",
    "expires",
    "ignore_result",
    "max_retries",
    "rate_limit",
    "reject_on_worker_lost",
    "retry_on_worker_lost",
    "retry_backoff",
    "retry_backoff_max",
    "retry_jitter",
    "serializer",
    "soft_time_limit",
    "time_limit",
    "track_started",
)
# What `apply_async` takes from the task where its caller does not say otherwise, as far as routing goes.
ROUTED_BY = ("queue", "routing_key", "exchange", "priority", "exchange_type")
REQUEST_HOOKS = ("execute", "execute_using_pool", "revoked", "on_failure", "on_timeout", "on_accepted", "acknowledge")
NUMBERS_MAX = 500
TEXT_MAX = 500
SAID = threading.Lock()


class NoAppError(Exception):
    """What was named is no Celery application; the message is for the person who named it."""


def simple(value: Any) -> Any:
    """The same value where JSON and the rules have a use for it; seconds for a span of time; text for what is left."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "total_seconds"):
        return float(value.total_seconds())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [simple(each) for each in list(value)[:NUMBERS_MAX]]
    if isinstance(value, dict):
        return {str(key): simple(each) for key, each in list(value.items())[:NUMBERS_MAX]}
    if isinstance(value, type):
        return value.__module__ + "." + value.__qualname__
    return str(value)[:TEXT_MAX]


def last_line(error: BaseException) -> str:
    return traceback.format_exception_only(type(error), error)[-1].strip()[:TEXT_MAX]


def place_in(frames: Any) -> str:
    """The innermost of the frames that is in the subject's own files, as file:line."""
    own = [frame for frame in frames if is_own(frame.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def installed_in() -> Any:
    paths = sysconfig.get_paths()
    return tuple(os.path.realpath(paths[name]) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))


INSTALLED_IN = installed_in()


def package_of(module_name: str) -> Any:
    """Where the files of the app's own top package are: it is the team's, installed or not."""
    top = sys.modules.get(module_name.split(".", maxsplit=1)[0])
    file = getattr(top, "__file__", None)
    if not file:
        return ()
    return (os.path.dirname(os.path.realpath(file)) + os.sep if hasattr(top, "__path__") else os.path.realpath(file),)


def is_own(file: Any, tops: Any = ()) -> bool:
    """Whether a file is the team's: below the working directory and not installed, or in the app's top package."""
    if not file or not str(file).endswith(".py") or os.path.realpath(file) == os.path.realpath(__file__):
        return False
    path = os.path.realpath(str(file))
    parts = path.split(os.sep)
    if path.startswith(tuple(tops)):
        return True
    installed = path.startswith(INSTALLED_IN) or "site-packages" in parts or "dist-packages" in parts
    return not installed and path.startswith(os.path.realpath(os.getcwd()) + os.sep)


# --- the application ---


def found_app(name: str) -> Any:
    """As `celery -A` finds it, and `module:factory()`.

    :raises NoAppError: there is none
    """
    from celery import Celery
    from celery.app.utils import find_app

    module_name, colon, attribute = name.partition(":")
    if not colon:
        module_name = importable(name)
        if module_name != name:
            found = named(importlib.import_module(module_name), name[len(module_name) + 1 :])
        else:
            importlib.import_module(name)
            try:
                found = find_app(name)
            except AttributeError:
                raise NoAppError(f"{name} has no Celery application{others(name)}") from None
    else:
        found = named(importlib.import_module(module_name), attribute)
    if isinstance(found, Celery):
        return found
    extension = getattr(found, "extensions", None)
    if isinstance(extension, dict) and isinstance(extension.get("celery"), Celery):
        return extension["celery"]  # a Flask application, as Flask's documentation sets it up
    if inspect.isfunction(found):
        raise NoAppError(f"{name} is a function; if it makes the application, write {name}()")
    raise NoAppError(f"{name} is no Celery application but {type(found).__name__}{others(module_name)}")


def importable(name: str) -> str:
    """The module in a dotted name whose last part may be an attribute."""
    parent, _, attribute = name.rpartition(".")
    if not parent:
        return name
    module = importlib.import_module(parent)
    # What is imported, a submodule or an attribute of the same name: Celery takes the attribute.
    return parent if hasattr(module, attribute) and not inspect.ismodule(getattr(module, attribute)) else name


def named(module: Any, attribute: str) -> Any:
    is_call = attribute.endswith("()")
    found = module
    for part in attribute[: -2 if is_call else None].split("."):
        if not hasattr(found, part):
            raise NoAppError(f"{module.__name__} has no {part!r}{others(module.__name__)}")
        found = getattr(found, part)
    return found() if is_call else found


def others(module_name: str) -> str:
    from celery import Celery

    module = sys.modules.get(module_name)
    names = [key for key, value in list(vars(module).items()) if isinstance(value, Celery)] if module else []
    return f"; it has: {', '.join(module_name + ':' + each for each in names[:5])}" if names else ""


def tell_app(app: Any, name: str) -> Any:
    url = app.conf.broker_url
    first = (list(url) or [""])[0] if isinstance(url, (list, tuple)) else str(url or "").split(";")[0]
    transport = app.conf.broker_transport or first.partition("://")[0]  # none: Celery would take RabbitMQ's, unasked
    options = dict(app.conf.broker_transport_options or {})
    backend = app.conf.result_backend
    known = {key: simple(getattr(app.conf, key)) for key in SETTINGS if hasattr(app.conf, key)}
    module = sys.modules.get(name.partition(":")[0]) or sys.modules.get(str(app.main))
    return {
        "module": getattr(module, "__name__", ""),
        "transport": transport.partition("+")[0],
        "visibility_default": visibility_default(app),
        "transport_options": {str(key): told_option(value) for key, value in options.items()},
        "result_backend": backend.partition("://")[0][:40] if isinstance(backend, str) else ("?" if backend else ""),
        "settings": known,
        "queues": declared_queues(app.conf.task_queues),
        "failure_receivers": failure_receivers(),
    }


def told_option(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else "..."


def visibility_default(app: Any) -> Any:
    """As the transport's class has it; a connection that is not opened is only a name for it."""
    try:
        return simple(getattr(app.connection_for_read().transport_cls.Channel, "visibility_timeout", None))
    except Exception:  # the transport's client is not installed, or it has none: not known
        return None


def declared_queues(queues: Any) -> Any:
    """Each with its arguments; None where none are declared, and each name that is used makes a queue."""
    if not queues:
        return None
    if isinstance(queues, dict):
        return {str(name): simple((each or {}).get("queue_arguments") or {}) for name, each in queues.items()}
    return {
        str(getattr(queue, "name", queue)): simple(getattr(queue, "queue_arguments", None) or {}) for queue in queues
    }


def failure_receivers() -> Any:
    """Who is told of a task that has failed, by module and name; Celery's own are left out."""
    from celery.signals import task_failure

    found = []
    for _, reference in list(task_failure.receivers or []):
        receiver = reference() if isinstance(reference, weakref.ref) else reference
        module = getattr(receiver, "__module__", "") or ""
        if receiver is not None and module.split(".")[0] not in {"celery", "kombu"}:
            found.append({"module": module, "name": getattr(receiver, "__qualname__", str(type(receiver)))})
    return found


# --- its tasks ---


def tell_task(app: Any, task: Any, tops: Any) -> Any:
    from celery import Task

    options = {key: simple(getattr(task, key)) for key in TASK_OPTIONS if hasattr(task, key)}
    for key in ("time_limit", "soft_time_limit"):
        options[key] = options[key] or simple(getattr(app.conf, "task_" + key, None))
    options["autoretry_for"] = [simple(each) for each in getattr(task, "autoretry_for", None) or ()]
    retry = getattr(task, "retry_kwargs", None) or {}
    options["retry_kwargs"] = {str(key): told_option(value) for key, value in dict(retry).items()}
    function = unwrapped(getattr(task, "_orig_run", task.run))
    code = getattr(function, "__code__", None)
    bases = [base for base in type(task).__mro__ if base is not object and not base.__module__.startswith("celery.")]
    queue, queue_error = routed(app, task)
    return {
        "name": task.name,
        "module": getattr(function, "__module__", "") or task.__module__,
        "function": getattr(function, "__qualname__", ""),
        "file": getattr(code, "co_filename", "") or getattr(sys.modules.get(task.__module__), "__file__", "") or "",
        "line": getattr(code, "co_firstlineno", 1),
        "own": is_own(getattr(code, "co_filename", ""), tops),
        "options": options,
        "queue": queue,
        "queue_error": queue_error,
        "parameters": parameters_of(function),
        "bases": [
            {"module": base.__module__, "name": base.__qualname__}
            for base in bases
            if is_own(getattr(sys.modules.get(base.__module__), "__file__", ""), tops)
        ],
        "overrides": [
            key
            for key in ("__call__", "before_start", "on_failure", "after_return")
            if getattr(type(task), key, None) is not getattr(Task, key, None)
        ],
        "request_overrides": request_overrides(task),
    }


def unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return getattr(function, "__func__", function)


def parameters_of(function: Any) -> Any:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    return [
        {"name": each.name, "kind": each.kind.name.lower(), "has_default": each.default is not each.empty}
        for each in parameters
    ]


def routed(app: Any, task: Any) -> Any:
    options = {key: getattr(task, key, None) for key in ROUTED_BY}
    given = {key: value for key, value in options.items() if value is not None}
    try:
        queue = app.amqp.router.route(given, task.name, (), {}).get("queue")
    except Exception as error:  # a router is the subject's code, and a queue that is not declared is told this way, too
        return "", last_line(error)
    return str(getattr(queue, "name", queue)), ""


def request_overrides(task: Any) -> Any:
    """What a custom request class does in its own way; None if there is one that cannot be imported."""
    if task.Request in {"celery.worker.request:Request", None}:
        return []
    try:
        from celery.utils.imports import symbol_by_name
        from celery.worker.request import Request

        cls = symbol_by_name(task.Request)
        return [key for key in REQUEST_HOOKS if getattr(cls, key, None) is not getattr(Request, key, None)]
    except Exception:  # hostile code
        return None


def tell_schedule(app: Any) -> Any:
    found = []
    for name, entry in dict(app.conf.beat_schedule or {}).items():
        each = entry if isinstance(entry, dict) else vars(entry)
        found.append(
            {
                "name": str(name),
                "task": str(each.get("task")),
                "schedule": simple(each.get("schedule")),
                "expires": simple((each.get("options") or {}).get("expires")),
            }
        )
    return found


# --- the code ---


def tell_modules(tops: Any) -> Any:
    """The team's modules that are loaded, with the numbers in them: what a countdown may be made of."""
    found = []
    for name, module in sorted(sys.modules.copy().items()):
        try:
            if name != "__main__" and is_own(getattr(module, "__file__", None), tops):
                found.append({"name": name, "file": module.__file__, "numbers": numbers_in(module)})
        except Exception:  # noqa: S112 - a module may be any object, and one that cannot be asked has nothing to tell
            continue
    return found


def numbers_in(module: Any) -> Any:
    found = {}
    for name, value in list(vars(module).items()):
        if name.startswith("__"):
            continue
        try:
            found.update(numbers_of(name, value))
        except Exception:  # noqa: S112 - Flask's `current_app` cannot be asked outside of a request; the others can
            continue
        if len(found) > NUMBERS_MAX:
            break
    return found


def numbers_of(name: Any, value: Any) -> Any:
    if is_number(value):
        return {name: simple(value)}
    if isinstance(value, type) or inspect.ismodule(value) or callable(value):
        return {}
    held = getattr(value, "_wrapped", value)  # Django's lazy settings
    attributes = dict(getattr(held, "__dict__", {}))
    if not attributes:
        attributes = {key: getattr(held, key, None) for key in getattr(type(held), "__slots__", ())}
    if held is not value:
        attributes = {key: getattr(held, key, None) for key in dir(held) if key.isupper()}
    return {f"{name}.{key}": simple(each) for key, each in attributes.items() if is_number(each)}


def is_number(value: Any) -> bool:
    return type(value) in {int, float} or (hasattr(value, "total_seconds") and not isinstance(value, type))


# --- the whole ---


def version_of(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except Exception:  # any failure to import is the answer
        return ""


def survey(name: str) -> Any:
    try:
        importlib.import_module("celery")
    except ImportError as error:
        return {"error": f"the subject's Python has no Celery: {last_line(error)}"}
    try:
        app = found_app(name)
    except NoAppError as error:
        return {"error": str(error)}
    except BaseException as error:  # hostile code: whatever it raises, SystemExit included, is the answer
        traceback.print_exc()
        return {"error": f"{name} does not import: {last_line(error)}", "at": place_in(frames_of(error))}
    try:
        app.finalize()
        app.loader.import_default_modules()
        tops = package_of(name.partition(":")[0])
        own_tasks = [task for key, task in sorted(app.tasks.items()) if not key.startswith("celery.")]
        told = tell_app(app, name)
        told["tasks"] = [tell_task(app, task, tops) for task in own_tasks]
        told["schedule"] = tell_schedule(app)
        told["modules"] = tell_modules(tops)
    except BaseException as error:  # as above: autodiscovery imports the team's tasks, and its settings are read
        traceback.print_exc()
        told = {"error": f"{name} cannot be set up: {last_line(error)}", "at": place_in(frames_of(error))}
    told["versions"] = {
        "python": platform.python_version(),
        "celery": version_of("celery"),
        "kombu": version_of("kombu"),
        "billiard": version_of("billiard"),
        "redis client": version_of("redis"),
    }
    return told


def frames_of(error: BaseException) -> Any:
    if isinstance(error, SyntaxError) and error.filename:
        return [traceback.FrameSummary(error.filename, error.lineno or 1, "")]
    return traceback.extract_tb(error.__traceback__)


def say(pipe: str, answer: Any) -> None:
    """Once, and never again: what comes second waits here until the process ends."""
    SAID.acquire()
    with open(pipe, "wb", buffering=0) as stream:
        data = json.dumps(answer, default=str).encode() + b"\n"
        while data:
            data = data[stream.write(data) :]


def watch(pipe: str, seconds: float) -> None:
    """Tell where the main thread stands when it has taken too long, and end."""
    if threading.Event().wait(seconds):
        return
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - there is no other way
    stack = traceback.extract_stack(frame) if frame is not None else []
    say(pipe, {"error": "hangs", "at": place_in(stack)})
    os._exit(1)


def main() -> None:
    sys.path[0] = os.getcwd()
    name, pipe, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    sys.argv[1:] = []  # a subject that reads them would take ours for its own
    threading.Thread(target=watch, args=(pipe, seconds), daemon=True).start()
    say(pipe, survey(name))
    os._exit(0)  # a thread of the subject's may never end


if __name__ == "__main__":
    main()
