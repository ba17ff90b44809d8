from collections import Counter
from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import Contract, Worker
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, queue_of
from harness.system import Target

PREFETCH = 4


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """The first job of the fullest queue stands in the only slot, and others have been taken and wait behind it."""
    del random
    depths = Counter(queue_of(contract, job.task) for job in workload)
    queue, depth = depths.most_common(1)[0]
    behind = min(PREFETCH - 1, depth - 2)  # the last one is the queue's canary
    if behind < 1:
        return Script(workload=workload, steps=())
    first = next(job for job in workload if queue_of(contract, job.task) == queue)
    step = Step(
        when=AtCrashPoint(point="body-began", job=first.job),
        fault=KillWorker(target=Target.GROUP, waiting_min=behind),
    )
    return Script(workload=workload, steps=(step,))


def with_a_backlog(worker: Worker) -> tuple[Worker, ...]:
    return (replace(worker, concurrency=1, arguments=(*worker.arguments, "--prefetch-multiplier", str(PREFETCH))),)


BACKLOG_OF_A_DEAD_WORKER = Scenario(
    name="backlog-of-a-dead-worker",
    story="A worker dies that had taken more messages than it was working on.",
    covers=("F35", "W5"),
    guarantees=GUARANTEES,
    explore=explore,
    shape=with_a_backlog,
)
