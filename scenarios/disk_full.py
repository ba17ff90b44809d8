from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FillDisk
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, one_of_each_queue


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """One job of each queue, from its request to the end of the attempt: what it would record, it cannot."""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job),
            fault=FillDisk(),
            until=AfterAttempt(job=job.job),
        )
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


DISK_FULL = Scenario(
    name="disk-full",
    story="One worker after the other has no room on its disk until an attempt has ended.",
    covers=("F107",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
