from functools import partial
from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import DeliverAgain
from harness.plan import DRAINED, AtCrashPoint, Step
from harness.scenario import Scenario, Script, Workload, victims


def explore(point: str, contract: Contract, workload: Workload, random: Random) -> Script:
    """The first stands at `point` until the second has run to its end; then it goes on."""
    del contract
    steps = tuple(
        Step(when=AtCrashPoint(point=point, job=job.job), fault=DeliverAgain(job=job.job), until=DRAINED)
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


DELIVERED_TWICE_AT_ONCE = Scenario(
    name="delivered-twice-at-once",
    story="The same message is in two pool children at the same time: one stands between effect and record.",
    covers=("F24", "W16"),
    guarantees=GUARANTEES,
    explore=partial(explore, "effect-applied"),
)

DELIVERED_TWICE_OVERTAKEN = Scenario(
    name="delivered-twice-overtaken",
    story="The same message is in two pool children at once: the second overtakes the first before its effect.",
    covers=("F24", "W16"),
    guarantees=GUARANTEES,
    explore=partial(explore, "effect-received"),
)
