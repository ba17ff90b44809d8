from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import LoseReply
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    steps = tuple(
        Step(when=AtStart(), fault=LoseReply(job=job.job, times=1), until=DRAINED) for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


REPLY_LOST = Scenario(
    name="reply-lost",
    story="The downstream applies the request, and its reply is lost to a reset of the connection.",
    covers=("F54", "W8"),
    guarantees=GUARANTEES,
    explore=explore,
)
