"""The subject, imported once: real workers and the agent are forked from here instead of importing it each again.

Run by path with the subject's own Python: `python zygote.py APP FORKING`, the latter being the path of
`harness/forking.py`. Standard library and the subject's Celery only. It imports what a worker imports, in the order in
which a worker does, and with a worker's `sys.argv`; nothing is finalized, connected or started. If that leaves a
thread or a socket behind it says so and is not used.
"""

import importlib
import runpy
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

# What a worker imports while it starts, and its pools when the first child is made.
LAZY = (
    "encodings.idna",
    "celery.__main__",
    "celery.app.amqp",
    "celery.app.builtins",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.app.trace",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.bin.celery",
    "celery.bin.worker",
    "celery.concurrency.asynpool",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.events.dispatcher",
    "celery.events.receiver",
    "celery.events.state",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.agent",
    "celery.worker.consumer.connection",
    "celery.worker.consumer.consumer",
    "celery.worker.consumer.control",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.consumer.events",
    "celery.worker.consumer.gossip",
    "celery.worker.consumer.heart",
    "celery.worker.consumer.mingle",
    "celery.worker.consumer.tasks",
    "celery.worker.control",
    "celery.worker.heartbeat",
    "celery.worker.loops",
    "celery.worker.pidbox",
    "celery.worker.request",
    "celery.worker.state",
    "celery.worker.strategy",
    "billiard.heap",
    "billiard.pool",
    "billiard.popen_fork",
    "billiard.queues",
    "billiard.sharedctypes",
    "billiard.synchronize",
    "cffi.cparser",  # billiard uses it, where it is installed, to tie a child to its parent: a quarter of all work
    "email.policy",
    "kombu.asynchronous.hub",
    "kombu.asynchronous.timer",
    "kombu.pidbox",
    "kombu.transport.redis",
    "kombu.transport.virtual",
    "kombu.utils.eventio",
    "redis",
)


def load(name: str) -> Any:
    """The application, as `celery -A` finds it, with its task modules."""
    from celery.app.utils import find_app

    app = find_app(name)
    app.loader.import_default_modules()
    return app


def warm(app: Any) -> None:
    for module in LAZY:
        with suppress(Exception):  # another version of Celery has it elsewhere: the worker will import it itself
            importlib.import_module(module)
    try:
        from celery.app import backends

        backends.by_url(app.conf.result_backend, app.loader)  # the class only: nothing connects
    except Exception:  # the worker says it better
        traceback.print_exc()


def main() -> None:
    name, forking = sys.argv[1:3]
    sys.path[0] = str(Path.cwd())  # as for `celery`: this folder's names could hide the subject's
    sys.argv[:] = ["celery", "-A", name, "worker"]
    tools = runpy.run_path(forking)
    tools["hide_link"]()
    try:
        warm(load(name))
    except BaseException as error:  # hostile code: whatever it raises, the agent says it, from the command line
        traceback.print_exc()
        tools["say"]({"refused": f"it does not import ({type(error).__name__})"})
        return
    tools["say"]({"refused": tools["not_forkable"]()})
    tools["serve"]()
    tools["run_requested"]()


if __name__ == "__main__":
    main()
