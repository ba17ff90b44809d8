from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import AnswerErrors, DeliverAgain, MoveClock, Together
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, budgets, victims

HOUR_SECONDS = 3600.0


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


def with_a_retry(seconds: float, contract: Contract, workload: Workload, random: Random) -> Script:
    """The attempt fails, and its next one is planned by a clock that is right again when it is due."""
    able = [job for job in victims(workload, random) if job.job in budgets(contract, workload)]
    if not able:
        return Script(workload=workload, steps=())
    job = random.choice(able).job
    fault = Together(faults=(AnswerErrors(job=job, times=1), MoveClock(seconds=seconds)))
    step = Step(when=AtCrashPoint(point="body-began", job=job), fault=fault, until=AfterAttempt(job=job))
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
    story="A worker's clock jumps an hour ahead while a job fails, and back before it is tried again.",
    covers=("F99", "F100"),
    guarantees=GUARANTEES,
    explore=partial(with_a_retry, HOUR_SECONDS),
    profile=FULL,
)
WORKER_CLOCK_JUMPS_BACK = Scenario(
    name="worker-clock-jumps-back",
    story="A worker's clock jumps an hour back while a job fails, and ahead again before it is tried again.",
    covers=("F99", "F100"),
    guarantees=GUARANTEES,
    explore=partial(with_a_retry, -HOUR_SECONDS),
    profile=FULL,
)
