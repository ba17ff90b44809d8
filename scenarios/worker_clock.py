from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import AnswerErrors, DeliverAgain, Deploy, MoveClock, Together
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, budgets, task_of, victims

HOUR_SECONDS = 3600.0
BEYOND_SECONDS = 14.0  # how long it may take until the other worker is there
GRACE_SECONDS = 20.0


def ahead(contract: Contract, workload: Workload, random: Random) -> Script:
    """Whatever expires has expired for it: a message that is delivered again meets a job that looks abandoned."""
    del contract
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job),
            fault=Together(faults=(MoveClock(seconds=HOUR_SECONDS), DeliverAgain(job=job.job))),
            until=AfterAttempt(job=job.job),
        )
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


def with_a_retry(sign: int, contract: Contract, workload: Workload, random: Random) -> Script:
    """The attempt fails, and its next one is planned by a clock that is another than that of who takes it.

    The jump is longer than the job may wait, and not so long that nobody would wait for what comes of it.
    """
    able = [job for job in victims(workload, random) if job.job in budgets(contract, workload)]
    if not able:
        return Script(workload=workload, steps=())
    job = random.choice(able)
    seconds = sign * (task_of(contract, job).wait_seconds_max + BEYOND_SECONDS)
    fails = AnswerErrors(job=job.job, times=1)
    # Asked to end, the worker takes no more messages: its successor gets the retry, and has the right time.
    ends = Deploy(grace_seconds=GRACE_SECONDS)
    fault = Together(faults=(fails, MoveClock(seconds=seconds), ends))
    step = Step(when=AtCrashPoint(point="body-began", job=job.job), fault=fault, until=AfterAttempt(job=job.job))
    return Script(workload=workload, steps=(step,))


WORKER_CLOCK_AHEAD = Scenario(
    name="worker-clock-ahead",
    story="A worker's clock is an hour ahead, and a message is delivered again whose job it is at.",
    covers=("F99",),
    guarantees=GUARANTEES,
    explore=ahead,
    profile=FULL,
)
WORKER_CLOCK_JUMPS_AHEAD = Scenario(
    name="worker-clock-jumps-ahead",
    story="A worker's clock jumps ahead while a job fails, and a worker that has the right time tries it again.",
    covers=("F99", "F100"),
    guarantees=GUARANTEES,
    explore=partial(with_a_retry, 1),
    profile=FULL,
)
WORKER_CLOCK_JUMPS_BACK = Scenario(
    name="worker-clock-jumps-back",
    story="A worker's clock jumps back while a job fails, and a worker that has the right time tries it again.",
    covers=("F99", "F100"),
    guarantees=GUARANTEES,
    explore=partial(with_a_retry, -1),
    profile=FULL,
)
