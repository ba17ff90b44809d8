from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import ExhaustMemory
from harness.plan import AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload
from harness.system import Target


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Two jobs: what befalls a pool child alone, and what takes the whole container with it."""
    del contract
    jobs = random.sample(workload, k=min(2, len(workload)))
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=ExhaustMemory(target=target))
        for job, target in zip(jobs, (Target.CHILD, Target.MAIN), strict=False)
    )
    return Script(workload=workload, steps=steps)


MEMORY_EXHAUSTED = Scenario(
    name="memory-exhausted",
    story="The kernel kills a pool child for want of memory, and then a main process.",
    covers=("F09",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
