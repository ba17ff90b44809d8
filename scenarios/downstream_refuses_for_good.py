from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import AnswerErrors
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, dead, victims

UNPROCESSABLE = 422


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    doomed = victims(workload, random)
    steps = tuple(
        Step(when=AtStart(), fault=AnswerErrors(job=job.job, status=UNPROCESSABLE), until=DRAINED) for job in doomed
    )
    return Script(workload=dead(workload, doomed), steps=steps)


DOWNSTREAM_REFUSES_FOR_GOOD = Scenario(
    name="downstream-refuses-for-good",
    story="The downstream refuses one job's request for good (HTTP 422): it must end as a dead letter.",
    covers=("F57",),
    guarantees=GUARANTEES,
    explore=explore,
)
