from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import ExhaustProcesses, KillWorker, Together
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload
from harness.system import Target


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """A pool child dies with a job in its hands, and no other can be started in its place until that job was tried."""
    del contract
    job = random.choice(workload)
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job.job),
        fault=Together(faults=(ExhaustProcesses(), KillWorker(target=Target.CHILD))),
        until=AfterAttempt(job=job.job),
    )
    return Script(workload=workload, steps=(step,))


PROCESSES_EXHAUSTED = Scenario(
    name="processes-exhausted",
    story="A pool child dies, and for a while no process can be started in its place.",
    covers=("F107",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
