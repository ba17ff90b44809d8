from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import ResetConnection
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    steps = tuple(
        Step(when=AtStart(), fault=ResetConnection(job=job, times=retries), until=DRAINED)
        for job, retries in budgets(contract, victims(workload, random)).items()
    )
    return Script(workload=workload, steps=steps)


DOWNSTREAM_RESETS = Scenario(
    name="downstream-resets",
    story="The downstream resets the connection before it has applied anything, as often as the job has retries.",
    covers=("F56", "F57"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="retries_max",
)
