from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import DeliverAgain
from harness.plan import DRAINED, AfterJob, Step
from harness.scenario import Scenario, Script, Workload, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    steps = tuple(
        Step(when=AfterJob(job=job.job), fault=DeliverAgain(job=job.job), until=DRAINED)
        for job in victims(workload, random)
    )
    return Script(workload=workload, steps=steps)


DELIVERED_TWICE = Scenario(
    name="delivered-twice",
    story="A job has been done, and the broker delivers the same message once more.",
    covers=("F23",),
    guarantees=GUARANTEES,
    explore=explore,
)
