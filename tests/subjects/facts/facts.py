"""A subject that tells how its processes find the world: what main process and pool child see, as JSON files."""

import atexit
import gc
import json
import logging
import os
import random
import re
import resource
import signal
import sys
import threading
import uuid
import warnings
from contextlib import suppress
from pathlib import Path

from billiard.process import current_process
from celery import Celery, signals

sys.stdout.write("imported\n")  # buffered: a forked process must not say it again

app = Celery("facts", broker=os.environ["FACTS_BROKER"])
app.conf.task_acks_late = True


@atexit.register
def on_exit() -> None:
    (Path(os.environ["FACTS"]) / f"exit-{os.getpid()}").touch()


def facts() -> dict[str, object]:
    gc.collect()  # kombu's transports are freed in cycles: until a collection, at no fixed time, each keeps its epoll
    descriptors = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            descriptors.append(re.sub(r":\[.*|pym[-p].*", "", str(each.readlink())))
    handlers = {number.name: signal.getsignal(number) for number in signal.valid_signals() if hasattr(number, "name")}
    return {
        "environ": dict(os.environ),
        "argv": sys.argv,
        "cwd": str(Path.cwd()),
        "path": sys.path,
        "signals": {name: getattr(handler, "__qualname__", str(handler)) for name, handler in handlers.items()},
        "blocked": sorted(str(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "descriptors": sorted(descriptors),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "process": current_process().name,
        "logging": [logging.getLogger().level, [type(each).__name__ for each in logging.getLogger().handlers]],
        "threads": sorted(each.name for each in threading.enumerate()),
        "atexit": atexit._ncallbacks(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "umask": oct(_umask()),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "warnings": len(warnings.filters),
        "flags": str(sys.flags),
        "stdout": type(sys.stdout).__name__,
        "streams": [sys.__stdout__.fileno(), sys.__stderr__.fileno(), sys.__stdout__.line_buffering],
        "leads": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()],
        "main": sys.modules["__main__"].__name__,
    }


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def tell(name: str, told: dict[str, object]) -> None:
    path = Path(os.environ["FACTS"]) / name
    path.with_suffix(".part").write_text(json.dumps(told))
    path.with_suffix(".part").rename(path)


@signals.worker_ready.connect
def on_ready(**_: object) -> None:
    tell(f"main-{os.environ['JOBPROOF_NODE']}", facts())


@app.task(name="facts.tell")
def tell_facts(number: int) -> None:
    chance = [random.random(), str(uuid.uuid4())]  # noqa: S311 - nothing secret
    tell(f"child-{number}", {**facts(), "chance": chance, "node": os.environ["JOBPROOF_NODE"]})
