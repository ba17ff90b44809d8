from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import ProtectDisk
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, one_of_each_queue


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """One job of each queue, from where a body begins to the end of the attempt: nothing can be counted or claimed."""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="body-began", job=job.job),
            fault=ProtectDisk(),
            until=AfterAttempt(job=job.job),
        )
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


DISK_READ_ONLY = Scenario(
    name="disk-read-only",
    story="One worker after the other has a disk that is read-only until an attempt has ended.",
    covers=("F107",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
