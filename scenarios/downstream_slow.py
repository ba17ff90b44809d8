from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import LateReply
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets, patience, victims

TOO_LATE = 1.5  # times the client's patience


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    chosen = victims(workload, random)
    seconds = patience(contract, chosen)
    steps = tuple(
        Step(
            when=AtStart(),
            fault=LateReply(job=job, seconds=TOO_LATE * seconds[job], times=min(retries, 2)),
            until=DRAINED,
        )
        for job, retries in budgets(contract, chosen).items()
        if job in seconds
    )
    return Script(workload=workload, steps=steps)


DOWNSTREAM_SLOW = Scenario(
    name="downstream-slow",
    story="The downstream applies a request and answers after its client has given up waiting.",
    covers=("F53", "F54"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="patience_seconds",
)
