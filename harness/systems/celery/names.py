"""What a worker's messages to the broker are, in Celery's own words."""

from harness.boundaries.stable import stable
from harness.systems.celery.tap import Keys
from harness.systems.exploring import Meaning, Role

RESERVE = Meaning(label="reserve", role=Role.BOOKS)
ACK = Meaning(label="ack", role=Role.KEEPS)
REQUEUE = Meaning(label="requeue", role=Role.KEEPS)
RESULT = Meaning(label="result", role=Role.KEEPS)
_META = "celery-task-meta-"


def meaning_of(command: str, keys: Keys) -> Meaning:
    """A name of `harness.boundaries.messages` that was sent to the broker, as people call it; unknown ones stay.

    As read in kombu 5.4 to 5.7: a message is booked right after it was popped, and taken from the books when it is
    acknowledged; with a push in the same transaction it was given back.
    """
    parts = command.split(" + ")
    if stable(f"HSET {keys.unacked}") in parts:
        return RESERVE
    if stable(f"HDEL {keys.unacked}") in parts:
        return REQUEUE if any(part.split()[0] in {"LPUSH", "RPUSH"} for part in parts) else ACK
    if any(_META in part for part in parts):
        return RESULT
    return Meaning(label=command, role=Role.NONE)
