from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import StarveHost
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload

CPUS = 0.05


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """One worker, from its request to the end of the body."""
    del contract
    job = random.choice(workload)
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job.job),
        fault=StarveHost(cpus=CPUS),
        until=AfterAttempt(job=job.job),
    )
    return Script(workload=workload, steps=(step,))


WORKER_STARVED = Scenario(
    name="worker-starved",
    story="A worker has next to no processor until it has done a job.",
    covers=("F111",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
