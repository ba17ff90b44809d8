"""What of a certification was drawn and not enumerated: the inputs that came of a strategy. Pure.

Crash points, scenarios and their order are enumerated, and nothing is said of them here. Which job a scenario strikes
is drawn, but once, with one seed: of an input it is known that it was struck where a step names its job.
"""

import re
from collections.abc import Iterator

from harness.contract import Contract
from harness.plan import Plans
from harness.result import Result
from harness.sampling import Sample, sample

_JOB = re.compile(r"\bjob-\d+\b")


def samples_of(contract: Contract, plans: Plans, result: Result) -> tuple[Sample, ...]:
    """For each task with drawn inputs: how many of them a fault was aimed at and met, and whether all held."""
    return tuple(_samples(contract, plans, result))


def _samples(contract: Contract, plans: Plans, result: Result) -> Iterator[Sample]:
    task_of = {str(job.job): job.task for plan in plans.plans for job in plan.workload}
    struck: dict[str, bool] = {}  # job -> whether all that struck it held
    for scenario in result.scenarios:
        landed = all(each.status == "held" for each in scenario.guarantees if each.guarantee == "exercised")
        for job in {name for step in scenario.steps for name in _JOB.findall(step)} if landed else ():
            struck[job] = struck.get(job, True) and scenario.outcome == "held"
    for task in contract.tasks:
        if task.drawn:
            own = {name: held for name, held in struck.items() if task_of.get(name) == task.name}
            failed = sum(not held for held in own.values())
            what = f"inputs of {task.name} that were drawn and struck by a fault"
            yield sample(what, draws=len(own), failed=failed, of="of the inputs that its strategy draws")
