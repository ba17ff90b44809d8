from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import ExhaustFiles
from harness.plan import AfterAttempt, AtCrashPoint, Step
from harness.scenario import FULL, Scenario, Script, Workload, one_of_each_queue


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """X"""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="body-began", job=job.job),
            fault=ExhaustFiles(),
            until=AfterAttempt(job=job.job),
        )
        for job in one_of_each_queue(contract, workload, random)
    )
    return Script(workload=workload, steps=steps)


FILES_EXHAUSTED = Scenario(
    name="files-exhausted",
    story="One worker after the other can open no more files or connections until an attempt has ended.",
    covers=("F107",),
    guarantees=GUARANTEES,
    explore=explore,
    profile=FULL,
)
