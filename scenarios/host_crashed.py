from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import CrashHost
from harness.plan import AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Each kind of job is struck once, after the request has left the body and before anything was applied."""
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=CrashHost())
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


HOST_CRASHED = Scenario(
    name="host-crashed",
    story="The host of a worker is gone in the middle of a job; its request had left, and is carried out unheard.",
    covers=("F05", "W8"),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
