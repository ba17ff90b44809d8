from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FeedPoison
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, poison


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del random
    poisons = [(task, each) for task in contract.tasks for each in task.poisons]
    steps = tuple(
        Step(
            when=AtStart(),
            fault=FeedPoison(kind=each.kind, poison=poison(task, number, each.kind, each.arguments)),
            until=DRAINED,
        )
        for number, (task, each) in enumerate(poisons, start=1)
    )
    return Script(workload=workload, steps=steps)


JOB_THAT_CAN_NEVER_BE_DONE = Scenario(
    name="job-that-can-never-be-done",
    story="Inputs that the contract names as poison: well-formed, and not to be done by any number of tries.",
    covers=("F70", "F71"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="poisons",
)
