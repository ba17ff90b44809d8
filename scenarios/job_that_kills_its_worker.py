from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import CORE, FULL, Scenario, Script, Workload, dead, task_of, victims
from harness.system import Target


def explore(target: Target, contract: Contract, workload: Workload, random: Random) -> Script:
    """One job takes its worker down each time it is tried, once more than its budget of lost workers allows."""
    able = [job for job in victims(workload, random) if task_of(contract, job).worker_losses_max]
    if not able:
        return Script(workload=workload, steps=())
    job = random.choice(able)
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job, occurrence=number),
            fault=KillWorker(target=target),
        )
        for number in range(1, task_of(contract, job).worker_losses_max + 2)
    )
    return Script(workload=dead(workload, (job,)), steps=steps)


def _scenario(name: str, target: Target, what: str, profile: str) -> Scenario:
    return Scenario(
        name=name,
        story=f"A job takes {what} down each time it is tried: it must end as a dead letter, not as a loop.",
        covers=("F08", "F72"),
        guarantees=GUARANTEES,
        explore=partial(explore, target),
        profile=profile,
    )


JOB_THAT_KILLS_ITS_WORKER = _scenario("job-that-kills-its-worker", Target.GROUP, "its worker", CORE)
JOB_THAT_KILLS_ITS_CHILD = _scenario("job-that-kills-its-child", Target.CHILD, "its pool child", FULL)
