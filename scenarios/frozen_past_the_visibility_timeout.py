from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FreezeWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, one_of_each_queue


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """One worker of each queue is frozen, after its request has left the body and before anything was applied."""
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=FreezeWorker())
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


FROZEN_PAST_THE_VISIBILITY_TIMEOUT = Scenario(
    name="frozen-past-the-visibility-timeout",
    story="A worker stands still in the middle of a job, another does the job, and then the first goes on.",
    covers=("F07", "W16"),
    guarantees=GUARANTEES,
    explore=explore,
)
