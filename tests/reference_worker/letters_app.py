"""A Celery application of a few tasks whose workers set aside what they give up, as the reference worker's do."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery

from reference_worker import dead_letters, settings
from reference_worker.database import Database

SETTINGS = settings.read()
REQUEST = "reference_worker.dead_letters.request:DeadLetteringRequest"

app = Celery("letters", broker=SETTINGS.broker_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    task_default_queue="letters",
    accept_content=["json"],
    task_ignore_result=True,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_SECONDS", "60")),
        "unacked_restore_interval": 0.2,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 1,
    },
    broker_connection_retry_on_startup=True,
)
office = dead_letters.install(app, SETTINGS, engine=Database(SETTINGS.database_url).engine)

if "DIE_BEFORE_ACKNOWLEDGING" in os.environ:
    set_aside = office.set_aside

    def die(letter: Any, *, then: Callable[[], object]) -> None:
        set_aside(letter, then=lambda: os.kill(os.getpid(), signal.SIGKILL))

    office.set_aside = die  # type: ignore[method-assign]


@app.task(name="letters.done", Request=REQUEST)
def done(marker: str) -> None:
    Path("done", marker).touch()


@app.task(name="letters.fail", Request=REQUEST)
def fail(text: str) -> None:
    raise RuntimeError(text)


@app.task(name="letters.hang", Request=REQUEST, time_limit=1)
def hang() -> None:
    time.sleep(30)
