from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import SubmitAgain
from harness.plan import DRAINED, AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-applied", job=job.job), fault=SubmitAgain(again=job), until=DRAINED)
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


SUBMITTED_TWICE_AT_ONCE = Scenario(
    name="submitted-twice-at-once",
    story="A producer sends the same work again as another message, while the first is between effect and record.",
    covers=("F25",),
    guarantees=GUARANTEES,
    explore=explore,
)
