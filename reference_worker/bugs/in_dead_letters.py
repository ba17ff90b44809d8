"""Mistakes in how a job is given up: planted once the tasks are defined."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reference_worker.bugs.planting import own_tasks


def poison_swallowed(app: Any) -> None:
    """Celery's default for a job that has failed for good: acknowledged and gone, no dead letter."""
    for task in own_tasks(app):
        task.Request = "celery.worker.request:Request"


def dead_letter_without_payload(app: Any) -> None:
    """A dead letter that nobody can act on: what was to be done is gone."""
    add = app.reference_store.add_dead_letter
    app.reference_store.add_dead_letter = lambda letter: add(replace(letter, body=b""))


BUGS: dict[str, Callable[[Any], None]] = {
    "poison-swallowed": poison_swallowed,
    "dead-letter-without-payload": dead_letter_without_payload,
}
