from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FreezeChild
from harness.plan import AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, either, victims

SLACK_SECONDS = 10.0


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """One job of the task that is killed soonest; whether it is tried again or given up is open."""
    limits = {task.name: task.hard_limit_seconds for task in contract.tasks if task.hard_limit_seconds}
    limited = [job for job in victims(workload, random) if job.task in limits]
    if not limited:
        return Script(workload=workload, steps=())
    job = min(limited, key=lambda each: limits[each.task])
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job.job),
        fault=FreezeChild(seconds=limits[job.task] + SLACK_SECONDS),
    )
    return Script(workload=either(workload, (job,)), steps=(step,))


HARD_LIMIT_INSIDE_AN_EFFECT = Scenario(
    name="hard-limit-inside-an-effect",
    story="A body stands still with its request on the way, deaf to the soft limit: the hard limit kills it there.",
    covers=("F73", "F79"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="hard_limit_seconds",
)
