from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims
from harness.system import Target


def explore(target: Target, contract: Contract, workload: Workload, random: Random) -> Script:
    """Each kind of job is struck once, after its request has left the body and before anything was applied."""
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=KillWorker(target=target))
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


def _scenario(target: Target, what: str, covers: tuple[str, ...]) -> Scenario:
    return Scenario(
        name=f"worker-killed-{target}",
        story=f"SIGKILL hits {what} in the middle of a job, before its effect.",
        covers=covers,
        guarantees=GUARANTEES,
        explore=partial(explore, target),
    )


WORKER_KILLED_CHILD = _scenario(Target.CHILD, "the pool child", ("F01", "W7"))
WORKER_KILLED_MAIN = _scenario(Target.MAIN, "the worker's main process", ("F02", "W7"))
WORKER_KILLED_GROUP = _scenario(Target.GROUP, "the worker's whole process group", ("F04", "W7"))
