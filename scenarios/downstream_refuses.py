from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import RefuseConnections
from harness.plan import AfterAttempt, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Only tasks that try again can get through it, so only their jobs are enqueued."""
    able = budgets(contract, workload)
    jobs = tuple(job for job in workload if job.job in able)
    if not jobs:
        return Script(workload=workload, steps=())
    job = random.choice(jobs).job
    step = Step(when=AtStart(), fault=RefuseConnections(job=job), until=AfterAttempt(job=job))
    return Script(workload=jobs, steps=(step,))


DOWNSTREAM_REFUSES = Scenario(
    name="downstream-refuses",
    story="The downstream refuses every connection until a job has met it, and then works.",
    covers=("F57",),
    guarantees=GUARANTEES,
    explore=explore,
)
