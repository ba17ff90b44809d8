from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker, SubmitAgain
from harness.plan import DRAINED, AfterJob, AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims
from harness.system import Target

PATIENCE_SECONDS = 5.0


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Whatever came of the first, whoever asks again is not turned away by what a dead worker has left behind."""
    del contract
    struck = victims(workload, random)
    kills = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=KillWorker(target=Target.MAIN))
        for job in struck
    )
    again = tuple(
        Step(when=AfterJob(job=job.job, patience_seconds=PATIENCE_SECONDS), fault=SubmitAgain(again=job), until=DRAINED)
        for job in struck
    )
    return Script(workload=workload, steps=(*kills, *again))


KILLED_AND_SUBMITTED_AGAIN = Scenario(
    name="killed-and-submitted-again",
    story="A worker dies in the middle of a job, before its effect, and the same work is submitted once more.",
    covers=("F25", "F110"),
    guarantees=GUARANTEES,
    explore=explore,
)
