from functools import partial
from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import WORKER_NAME_CHARACTERS_MAX, Contract, Worker
from harness.faults import DeliverAgain
from harness.plan import DRAINED, AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims

_SECOND = "-second"


def explore(point: str, contract: Contract, workload: Workload, random: Random) -> Script:
    """The first stands at `point` until the second has run to its end; then it goes on."""
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point=point, job=job.job), fault=DeliverAgain(job=job.job), until=DRAINED)
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


def on_two_workers(worker: Worker) -> tuple[Worker, ...]:
    """What two processes of one worker share, such as a lock in memory, two workers do not. The broker hands the second
    message to whoever has waited longest, seldom to the one that has just taken the first; either has a slot free.

    A worker with a command of its own stays alone: nothing says that it may run twice on one machine.
    """
    if worker.command:
        return (worker,)
    second = f"{worker.name[: WORKER_NAME_CHARACTERS_MAX - len(_SECOND)]}{_SECOND}"
    return (worker, replace(worker, name=second))


DELIVERED_TWICE_AT_ONCE = Scenario(
    name="delivered-twice-at-once",
    story="The same message is on two workers at the same time: one stands between effect and record.",
    covers=("F24", "W16"),
    guarantees=GUARANTEES,
    explore=partial(explore, "effect-applied"),
    shape=on_two_workers,
)

DELIVERED_TWICE_OVERTAKEN = Scenario(
    name="delivered-twice-overtaken",
    story="The same message is on two workers at once: the second overtakes the first before its effect.",
    covers=("F24", "W16"),
    guarantees=GUARANTEES,
    explore=partial(explore, "effect-received"),
    shape=on_two_workers,
)
