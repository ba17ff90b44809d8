from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import DoubleSidecar, KillSidecar
from harness.plan import DRAINED, AtCrashPoint, AtStart, Step
from harness.scenario import Scenario, Script, Workload, victims


def killed(contract: Contract, workload: Workload, random: Random) -> Script:
    """While a job of each kind has its request on the way: it may have been sent by what is killed."""
    steps = tuple(
        Step(when=AtCrashPoint(point="effect-received", job=job.job), fault=KillSidecar(sidecar=each.name))
        for each in contract.recoverers()
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


def doubled(contract: Contract, workload: Workload, random: Random) -> Script:
    del random
    steps = tuple(
        Step(when=AtStart(), fault=DoubleSidecar(sidecar=each.name), until=DRAINED) for each in contract.recoverers()
    )
    return Script(workload=workload, steps=steps)


ASKS = "a sidecar with recovers_within_seconds"

RECOVERER_KILLED = Scenario(
    name="recoverer-killed",
    story="What recovers jobs, such as a relay or a sweeper, dies while a job's effect is on its way.",
    covers=("F103",),
    guarantees=GUARANTEES,
    explore=killed,
    asks=ASKS,
)
RECOVERER_DOUBLED = Scenario(
    name="recoverer-doubled",
    story="What recovers jobs, such as a relay or a sweeper, runs twice, as in a deploy that overlaps.",
    covers=("F34",),
    guarantees=GUARANTEES,
    explore=doubled,
    asks=ASKS,
)
