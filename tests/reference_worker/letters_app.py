"""A Celery application of a few tasks whose workers set aside what they give up, as the reference worker's do."""

import os
import signal
import time
from pathlib import Path

from celery import Celery

from reference_worker import dead_letters, settings
from reference_worker.bugs import in_dead_letters
from reference_worker.database import Database
from reference_worker.dead_letters.letter import DeadLetter

SETTINGS = settings.read()
REQUEST = "reference_worker.dead_letters.request:DeadLetteringRequest"

app = Celery("letters", broker=SETTINGS.broker_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    task_default_queue="sync",
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

_add = office.table.add


def _die(letter: DeadLetter) -> None:
    """Die where the letter is about to be written, or just has been."""
    if os.environ["DIE"] == "after the letter":
        _add(letter)
    os.kill(os.getpid(), signal.SIGKILL)


if "DIE" in os.environ:
    office.table.add = _die  # type: ignore[method-assign]


class Deliveries:
    """As the reference worker counts them, with a job that has lost its worker too often already."""

    def losses(self, identity: str, *, message_id: str = "") -> int:
        if identity == "database away":
            raise OSError(identity)
        return SETTINGS.worker_losses_max + 1 if identity == "killer" else 0

    def close(self, identity: str) -> None:
        Path("done", f"closed {identity}").touch()


app.reference_deliveries = Deliveries()


@app.task(name="letters.counted", Request=REQUEST)
def counted(identity: str) -> None:
    Path("done", identity).touch()


counted.identity_of = lambda args, _kwargs: args[0]
if bug := os.environ.get("REFERENCE_WORKER_BUG"):
    in_dead_letters.BUGS[bug](app)


@app.task(name="letters.done", Request=REQUEST)
def done(marker: str) -> None:
    Path("done", marker).touch()


@app.task(name="letters.exhaust", Request=REQUEST)
def exhaust() -> None:
    raise MemoryError("as far as this task can see")


@app.task(name="letters.fail", Request=REQUEST)
def fail(text: str) -> None:
    raise RuntimeError(text)


@app.task(name="letters.hang", Request=REQUEST, time_limit=1)
def hang() -> None:
    time.sleep(30)
