from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import CORE, FULL, Scenario, Script, Workload, dead, queue_of, task_of, victims
from harness.system import Target


def explore(target: Target, contract: Contract, workload: Workload, random: Random) -> Script:
    """One job takes its worker down each time it is tried, once more than its budget of lost workers allows.

    Nobody else is in its queue meanwhile: who dies beside it each time cannot be told from it by any book-keeping.
    """
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
    queue = queue_of(contract, job.task)
    beside = [each for each in workload if queue_of(contract, each.task) == queue and each is not job]
    left = tuple(each for each in workload if each not in beside[:-1])  # the last one is the queue's canary
    return Script(workload=dead(left, (job,)), steps=steps)


def _scenario(name: str, target: Target, what: str, profile: str) -> Scenario:
    return Scenario(
        name=name,
        story=f"A job takes {what} down each time it is tried: it must end as a dead letter, not as a loop.",
        covers=("F08", "F72"),
        guarantees=GUARANTEES,
        explore=partial(explore, target),
        asks="worker_losses_max",
        profile=profile,
    )


JOB_THAT_KILLS_ITS_WORKER = _scenario("job-that-kills-its-worker", Target.GROUP, "its worker", CORE)
JOB_THAT_KILLS_ITS_CHILD = _scenario("job-that-kills-its-child", Target.CHILD, "its pool child", FULL)
