from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import Silence
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    steps = tuple(
        Step(when=AtStart(), fault=Silence(job=job, times=retries), until=DRAINED)
        for job, retries in budgets(contract, victims(workload, random)).items()
    )
    return Script(workload=workload, steps=steps)


DOWNSTREAM_SILENT = Scenario(
    name="downstream-silent",
    story="The downstream takes a job's requests and never answers, as often as the job has retries.",
    covers=("F53",),
    guarantees=GUARANTEES,
    explore=explore,
    asks="patience_seconds",
)
