from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import DripReply
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, budgets, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    steps = tuple(
        Step(
            when=AtStart(), fault=DripReply(job=job, seconds=_too_long(contract), times=min(retries, 2)), until=DRAINED
        )
        for job, retries in budgets(contract, victims(workload, random)).items()
    )
    return Script(workload=workload, steps=steps)


def _too_long(contract: Contract) -> float:
    """Longer than any job may take, and short enough for the queues to drain afterwards."""
    return max(task.wait_seconds_max for task in contract.tasks) + 5


DOWNSTREAM_DRIPS = Scenario(
    name="downstream-drips",
    story="The downstream answers a byte at a time, so that no read times out: only a time limit ends the job.",
    covers=("F53", "F73"),
    guarantees=GUARANTEES,
    explore=explore,
    asks="retries_max",
)
