from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import RefuseConnections
from harness.plan import AfterAttempt, AfterSeconds, AtStart, Step, Until
from harness.scenario import Scenario, Script, Workload, budgets, task_of


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """For as long as every task says that it can take, from when the first has met it.

    Where none says so, until one attempt has met it.
    Only tasks that try again can get through it, so only their jobs are enqueued.
    """
    able = budgets(contract, workload)
    jobs = tuple(job for job in workload if job.job in able)
    told = {job.job: task_of(contract, job).outage_seconds_max for job in jobs}
    if any(told.values()):
        jobs = tuple(job for job in jobs if told[job.job])
    if not jobs:
        return Script(workload=workload, steps=())
    ids = tuple(job.job for job in jobs)
    longest = min(told[job] for job in ids)
    until: Until = AfterSeconds(seconds=longest, once_met=True) if longest else AfterAttempt(job=random.choice(ids))
    return Script(workload=jobs, steps=(Step(when=AtStart(), fault=RefuseConnections(), until=until),))


DOWNSTREAM_REFUSES = Scenario(
    name="downstream-refuses",
    story="The downstream refuses every connection for a while, and then works.",
    covers=("F57",),
    guarantees=GUARANTEES,
    explore=explore,
    asks="outage_seconds_max",
)
