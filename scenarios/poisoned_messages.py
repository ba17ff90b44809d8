from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FeedSpoilt
from harness.plan import DRAINED, AfterJob, Step
from harness.poison import PoisonKind
from harness.scenario import Scenario, Script, Workload, poison, task_of, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """Each kind of poison meets a task that is drawn for it; it is made of the message of a job that has been done."""
    templates = victims(workload, random)
    steps = []
    for number, kind in enumerate(PoisonKind, start=1):
        template = random.choice(templates)
        bad = poison(task_of(contract, template), number, kind, {})
        steps.append(
            Step(
                when=AfterJob(job=template.job),
                fault=FeedSpoilt(kind=kind, template=template.job, poison=bad),
                until=DRAINED,
            )
        )
    return Script(workload=workload, steps=tuple(steps))


POISONED_MESSAGES = Scenario(
    name="poisoned-messages",
    story="Messages that no task can take: undecodable, refused, unknown, misshapen, oversized, no message at all.",
    covers=("F63", "F64", "F65", "F66", "F67", "F68", "F69"),
    guarantees=GUARANTEES,
    explore=explore,
)
