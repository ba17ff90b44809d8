"""The release before this one, for as long as its messages and its workers may still be about.

Started with `REFERENCE_WORKER_RELEASE=previous` the worker is what it was then. The harness lets the two meet, as every
deploy does. What is in here is deleted, and written anew, with each release.
"""

from typing import Any

NAME = "previous"


def take_back(app: Any) -> None:
    """Mails had one language, and nobody could ask for another."""
    task = app.tasks["reference_worker.send_verification_email"]
    now = task.run

    def send_verification_email(_self: Any, user_id: str) -> None:
        now(user_id)

    task.run = send_verification_email.__get__(task)
