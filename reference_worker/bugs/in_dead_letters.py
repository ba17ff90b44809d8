"""Mistakes in how a job is given up: planted once the tasks are defined."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from kombu.asynchronous import get_event_loop

from reference_worker.bugs.planting import own_tasks


def poison_swallowed(app: Any) -> None:
    """Celery's default for a job that has failed for good: acknowledged and gone, no dead letter."""
    for task in own_tasks(app):
        task.Request = "celery.worker.request:Request"


def discards_swallowed(app: Any) -> None:
    """Celery's default for a message that is no job: undecodable, refused or unknown, it is logged and thrown away."""
    app.conf.worker_consumer = "celery.worker.consumer:Consumer"


def dead_letter_without_payload(app: Any) -> None:
    """A dead letter that nobody can act on: what was to be done is gone."""
    office = app.reference_letters
    set_aside = office.set_aside
    office.set_aside = lambda letter, *, then: set_aside(replace(letter, body=b""), then=then)


def dead_letter_after_ack(app: Any) -> None:
    """Acknowledged first, so that nothing is handed in twice: a crash in between, or no room for it, loses it."""
    office = app.reference_letters
    set_aside = office.set_aside

    def acknowledge_first(letter: Any, *, then: Callable[[], object]) -> None:
        then()
        write = partial(set_aside, letter, then=lambda: None)
        hub: Any = get_event_loop()  # half typed
        if hub:
            hub.call_later(0, write)  # Celery's own acknowledgement is on its way only; its turn comes before a timer's
        else:
            write()

    office.set_aside = acknowledge_first


def no_spool(app: Any) -> None:
    """Where the table cannot be written the letter is in the log, which is where nobody looks for it."""
    app.reference_letters.spool.add = lambda _letter: None


BUGS: dict[str, Callable[[Any], None]] = {
    "poison-swallowed": poison_swallowed,
    "discards-swallowed": discards_swallowed,
    "dead-letter-without-payload": dead_letter_without_payload,
    "dead-letter-after-ack": dead_letter_after_ack,
    "no-spool": no_spool,
}
