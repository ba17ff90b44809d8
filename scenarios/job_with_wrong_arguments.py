from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FeedPoison
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, poison, wrong_arguments


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del random
    steps = tuple(
        Step(
            when=AtStart(),
            fault=FeedPoison(
                kind="wrong arguments",
                poison=poison(
                    task,
                    number,
                    "wrong-arguments",
                    wrong_arguments(task),
                ),
            ),
            until=DRAINED,
        )
        for number, task in enumerate(contract.tasks, start=1)
    )
    return Script(workload=workload, steps=steps)


JOB_WITH_WRONG_ARGUMENTS = Scenario(
    name="job-with-wrong-arguments",
    story="A message carries arguments that its task does not take, as after a deploy that renamed one.",
    covers=("F18", "F67"),
    guarantees=GUARANTEES,
    explore=explore,
)
