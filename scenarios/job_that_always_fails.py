from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import AnswerErrors
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload, dead, victims


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract
    doomed = victims(workload, random)
    steps = tuple(Step(when=AtStart(), fault=AnswerErrors(job=job.job), until=DRAINED) for job in doomed)
    return Script(workload=dead(workload, doomed), steps=steps)


JOB_THAT_ALWAYS_FAILS = Scenario(
    name="job-that-always-fails",
    story="The downstream answers one job with HTTP 500 for ever: bounded retries, then one dead letter.",
    covers=("F70",),
    guarantees=GUARANTEES,
    explore=explore,
)
