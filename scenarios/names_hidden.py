from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import HideNames
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """From where a body begins to its end."""
    del contract
    job = random.choice(workload)
    step = Step(when=AtCrashPoint(point="body-began", job=job.job), fault=HideNames(), until=AfterAttempt(job=job.job))
    return Script(workload=workload, steps=(step,))


NAMES_HIDDEN = Scenario(
    name="names-hidden",
    story="A worker can look up no name for a while.",
    covers=("F57",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
