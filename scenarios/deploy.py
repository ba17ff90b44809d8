from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import Deploy
from harness.plan import STRUCK, AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, one_of_each_queue
from harness.system import Target

LONG_SECONDS, SHORT_SECONDS = 20.0, 0.5


def with_time(contract: Contract, workload: Workload, random: Random) -> Script:
    """The job goes on once the signal has been sent, and the grace is longer than it needs."""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job),
            fault=Deploy(grace_seconds=LONG_SECONDS),
            until=AfterAttempt(job=job.job),
        )
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


def too_short(target: Target, contract: Contract, workload: Workload, random: Random) -> Script:
    """The job stands where it is until the grace is over."""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job),
            fault=Deploy(grace_seconds=SHORT_SECONDS, target=target),
            until=STRUCK,
        )
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


DEPLOY_WITH_TIME = Scenario(
    name="deploy-with-time",
    story="SIGTERM comes in the middle of a job, and there is time to finish it.",
    covers=("F13",),
    guarantees=GUARANTEES,
    explore=with_time,
)

DEPLOY_WITH_SHORT_GRACE = Scenario(
    name="deploy-with-short-grace",
    story="SIGTERM comes in the middle of a job, and SIGKILL before the job is done.",
    covers=("F15",),
    guarantees=GUARANTEES,
    explore=partial(too_short, Target.MAIN),
)

DEPLOY_TO_THE_GROUP = Scenario(
    name="deploy-to-the-group",
    story="SIGTERM goes to the whole process group, as some platforms send it: the pool children get it as well.",
    covers=("F14",),
    guarantees=GUARANTEES,
    explore=partial(too_short, Target.GROUP),
    profile=FULL,
)
