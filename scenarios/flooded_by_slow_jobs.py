from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import LateReply
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, patience, queue_of, task_of

SHARE_OF_PATIENCE = 0.6
UNTOLD_SECONDS = 1.0


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Every job of the other queues is slow and comes first; those of the isolated ones are due in their own time."""
    del random
    isolated = {task.queue for task in contract.tasks if task.isolated_wait_seconds_max is not None}
    fast = tuple(job for job in workload if queue_of(contract, job.task) in isolated)
    slow = tuple(job for job in workload if job not in fast)
    if not fast or not slow:
        return Script(workload=workload, steps=())
    seconds = patience(contract, slow)
    steps = tuple(
        Step(
            when=AtStart(),
            fault=LateReply(job=job.job, seconds=SHARE_OF_PATIENCE * seconds.get(job.job, UNTOLD_SECONDS)),
            until=DRAINED,
        )
        for job in slow
    )
    due = tuple(replace(job, wait_seconds_max=task_of(contract, job).isolated_wait_seconds_max) for job in fast)
    return Script(workload=(*slow, *due), steps=steps)


FLOODED_BY_SLOW_JOBS = Scenario(
    name="flooded-by-slow-jobs",
    story="Slow jobs fill the queues before the fast ones come: the fast queue must not wait for them.",
    covers=("F53", "F86"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="isolated_wait_seconds_max, and jobs of other queues",
)
