from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import KillWorker
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, task_of, victims
from harness.system import Target


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Of each task that has several effects one job is struck when it asks for the second."""
    steps = tuple(
        Step(
            when=AtCrashPoint(point="effect-received", job=job.job, occurrence=2),
            fault=KillWorker(target=Target.GROUP),
        )
        for job in victims(workload, random)
        if len(task_of(contract, job).effects_of(job.identity)) > 1
    )
    return Script(workload=workload, steps=steps)


KILLED_BEFORE_A_LATER_EFFECT = Scenario(
    name="killed-before-a-later-effect",
    story="A job of several effects has had its first, and the worker dies before the second.",
    covers=("F04", "F58", "W9"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="several effects of one job",
)
