"""How jobs in Redis lists are explored."""

import re
from collections.abc import Iterable

from harness.boundaries.rules import Process
from harness.boundaries.stable import PID, stable
from harness.systems.exploring import Exploring, Meaning, Role

ACK = "ack"
_ANY_PID = re.escape(PID)
_ASKING = ("LPOP", "RPOP", "LMOVE", "RPOPLPUSH", "LMPOP")  # what waits for a message changes nothing until it is served
_REMOVING = ("LREM", "LPOP", "RPOP", "LMPOP", "DEL", "UNLINK")

EXPLORING = Exploring(
    runs_jobs=Process.MAIN,
    joins_by_itself=False,
    notes=(
        "One worker. One that ended by itself while anything was left to do was started again, as a process manager "
        "would.",
    ),
    given_back="A list gives nothing back of itself: what a dead worker held comes back when a worker fetches it.",
    left_to_it="Redelivery was left to the workers, as always with lists: nobody else gives anything back.",
    cannot_see=(
        "when a body begins and ends, for there is no probe in the worker",
        "that a command which waits for a message was answered: a crash right then leaves the same behind as one "
        "before the first boundary",
    ),
    advice={
        "nothing-lost": "Move the message to a list of the worker's own (BLMOVE, BRPOPLPUSH) and remove it from there "
        "(LREM) after its effect; fetch what lies in that list before asking for more.",
    },
)


def meaning_of(command: str, *, queues: Iterable[str], own: Iterable[str]) -> Meaning:
    """A name of `harness.boundaries.messages` that was sent to the broker.

    Taking from a queue is asking for a message: a worker that polls does it in vain for as long as there is none, and
    what it has got with it is seen by what it sends next. Removing from a list to which a message was moved
    acknowledges; the command stays in the name, for several kinds may be used beside each other.
    """
    parts = set(command.split(" + "))
    if parts <= {stable(f"{verb} {queue}") for verb in _ASKING for queue in queues}:
        return Meaning(label=command, role=Role.ASKS)
    removing = {stable(f"{verb} {key}") for verb in _REMOVING for key in own}
    if any(re.fullmatch(re.escape(part).replace(_ANY_PID, r"\d+"), each) for part in parts for each in removing):
        return Meaning(label=f"{ACK} ({command})", role=Role.KEEPS)
    return Meaning(label=command, role=Role.NONE)
