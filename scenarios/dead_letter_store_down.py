from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import FeedPoison, HideDeadLetters
from harness.plan import DRAINED, AfterJob, AfterSeconds, AtStart, Step, Until
from harness.scenario import FULL, Scenario, Script, Workload, poison, wrong_arguments

WITHOUT_ANY_STORE_SECONDS = 1.5


def explore(spool_too: bool, contract: Contract, workload: Workload, random: Random) -> Script:
    place = contract.dead_letters
    if place is None or (spool_too and not place.spool):
        return Script(workload=workload, steps=())
    task = random.choice(contract.tasks)
    bad = poison(task, 1, "wrong-arguments", wrong_arguments(task))
    # With a spool the message may be acknowledged while the store is down; without one it must not.
    until: Until = AfterSeconds(seconds=WITHOUT_ANY_STORE_SECONDS) if spool_too else AfterJob(job=bad.job)
    return Script(
        workload=workload,
        steps=(
            Step(when=AtStart(), fault=HideDeadLetters(jobs=(bad.job,), spool_too=spool_too), until=until),
            Step(when=AtStart(), fault=FeedPoison(kind="wrong arguments", poison=bad), until=DRAINED),
        ),
    )


DEAD_LETTER_STORE_DOWN = Scenario(
    name="dead-letter-store-down",
    story="A job has to be given up while dead letters cannot be written: nothing is lost, and nothing spins.",
    covers=("F75", "W15"),
    guarantees=GUARANTEES,
    explore=partial(explore, False),
)

DEAD_LETTER_STORE_AND_SPOOL_DOWN = Scenario(
    name="dead-letter-store-and-spool-down",
    story="A job has to be given up while neither dead letters nor their spool can be written: the message must stay.",
    covers=("F75",),
    guarantees=GUARANTEES,
    explore=partial(explore, True),
    profile=FULL,
)
