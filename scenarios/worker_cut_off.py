from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import CutOffHost
from harness.plan import AfterSeconds, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload
from harness.system import Direction

CUT_SECONDS = 3.0


def explore(direction: Direction, contract: Contract, workload: Workload, random: Random) -> Script:
    """Long enough for its client to give up, and for the job to want its broker meanwhile."""
    del contract
    job = random.choice(workload)
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job.job),
        fault=CutOffHost(direction=direction),
        until=AfterSeconds(seconds=CUT_SECONDS),
    )
    return Script(workload=workload, steps=(step,))


def _scenario(name: str, direction: Direction, story: str) -> Scenario:
    return Scenario(
        name=name,
        story=story,
        covers=("F46", "F48"),
        guarantees=GUARANTEES,
        explore=partial(explore, direction),
        profile=FULL,
    )


WORKER_CUT_OFF = _scenario(
    "worker-cut-off",
    Direction.BOTH,
    "One worker is cut off in the middle of a job, and comes back with the connections that it had.",
)
WORKER_DEAF = _scenario(
    "worker-deaf",
    Direction.TO,
    "What one worker sends arrives, its job's request among it, and no answer reaches it.",
)
WORKER_MUTE = _scenario(
    "worker-mute",
    Direction.FROM,
    "One worker hears everybody, the answer to its job's request among it, and nothing that it sends arrives.",
)
