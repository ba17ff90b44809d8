from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import CutOffHost
from harness.plan import AfterSeconds, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload

CUT_SECONDS = 3.0


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Long enough for its client to give up, and for the job to want its broker meanwhile."""
    del contract
    job = random.choice(workload)
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job.job),
        fault=CutOffHost(),
        until=AfterSeconds(seconds=CUT_SECONDS),
    )
    return Script(workload=workload, steps=(step,))


WORKER_CUT_OFF = Scenario(
    name="worker-cut-off",
    story="One worker is cut off in the middle of a job, and comes back with the connections that it had.",
    covers=("F46", "F48"),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
