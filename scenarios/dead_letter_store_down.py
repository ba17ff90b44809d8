from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FeedPoison, HideDeadLetters, StopDraining
from harness.plan import DRAINED, AfterJob, AfterStep, AtStart, Step
from harness.scenario import FULL, Scenario, Script, Workload, poison, wrong_arguments

TO_BE_ACKNOWLEDGED_SECONDS = 1.5


def store_only(contract: Contract, workload: Workload, random: Random) -> Script:
    """With a spool the message may be acknowledged while the store is down; then the store comes back."""
    if contract.dead_letters is None:
        return Script(workload=workload, steps=())
    task = random.choice(contract.tasks)
    bad = poison(task, 1, "wrong-arguments", wrong_arguments(task))
    return Script(
        workload=workload,
        steps=(
            Step(when=AtStart(), fault=HideDeadLetters(jobs=(bad.job,)), until=AfterJob(job=bad.job)),
            Step(when=AtStart(), fault=FeedPoison(kind="wrong arguments", poison=bad), until=DRAINED),
        ),
    )


def store_and_spool(contract: Contract, workload: Workload, random: Random) -> Script:
    """The worker that was to give the job up dies with it in its hands, whether it has acknowledged it or not."""
    place = contract.dead_letters
    served = {queue for worker in contract.workers for queue in worker.queues}
    tasks = [task for task in contract.tasks if task.queue in served]
    if place is None or not place.spool or not tasks:
        return Script(workload=workload, steps=())
    task = random.choice(tasks)
    bad = poison(task, 1, "wrong-arguments", wrong_arguments(task))
    return Script(
        workload=workload,
        steps=(
            Step(when=AtStart(), fault=HideDeadLetters(jobs=(bad.job,), spool_too=True), until=AfterStep(step=2)),
            Step(when=AtStart(), fault=FeedPoison(kind="wrong arguments", poison=bad), until=DRAINED),
            Step(
                when=AfterJob(job=bad.job, patience_seconds=TO_BE_ACKNOWLEDGED_SECONDS),
                fault=StopDraining(queue=task.queue),
            ),
        ),
    )


DEAD_LETTER_STORE_DOWN = Scenario(
    name="dead-letter-store-down",
    story="A job has to be given up while dead letters cannot be written: nothing is lost, and nothing spins.",
    covers=("F75", "W15"),
    guarantees=GUARANTEES,
    explore=store_only,
    asks="dead_letters",
)

DEAD_LETTER_STORE_AND_SPOOL_DOWN = Scenario(
    name="dead-letter-store-and-spool-down",
    story="A job has to be given up, nothing can be written, and then the worker dies: the message must have stayed.",
    covers=("F75",),
    guarantees=GUARANTEES,
    explore=store_and_spool,
    asks="dead_letters with a spool",
    profile=FULL,
)
