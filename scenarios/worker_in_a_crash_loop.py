from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import CrashLoop
from harness.plan import AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, task_of

TIMES_MIN = 4


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """More deaths than any job's budget of them, if they were its own."""
    job = random.choice(workload)
    times = max(TIMES_MIN, task_of(contract, job).worker_losses_max + 2)
    step = Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=CrashLoop(times=times))
    return Script(workload=workload, steps=(step,))


WORKER_IN_A_CRASH_LOOP = Scenario(
    name="worker-in-a-crash-loop",
    story="A worker dies in the middle of a job, and each time that it is started again: good jobs outlive that.",
    covers=("F06", "F112"),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
