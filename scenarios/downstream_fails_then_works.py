from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import AnswerErrors
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    steps = tuple(
        Step(when=AtStart(), fault=AnswerErrors(job=job, status=503, times=retries), until=DRAINED)
        for job, retries in budgets(contract, victims(workload, random)).items()
    )
    return Script(workload=workload, steps=steps)


DOWNSTREAM_FAILS_THEN_WORKS = Scenario(
    name="downstream-fails-then-works",
    story="The downstream fails as often as the job has retries, and works the last time that it is asked.",
    covers=("F56",),
    guarantees=GUARANTEES,
    explore=explore,
    asks="retries_max",
)
