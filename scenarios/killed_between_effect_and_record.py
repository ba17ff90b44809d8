from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims
from harness.system import Target


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-applied", job=job.job), fault=KillWorker(target=Target.CHILD))
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


KILLED_BETWEEN_EFFECT_AND_RECORD = Scenario(
    name="killed-between-effect-and-record",
    story="The effect has been applied, and the worker dies before it knows and before it has recorded it.",
    covers=("F01", "W8", "W9"),
    guarantees=GUARANTEES,
    explore=explore,
)
