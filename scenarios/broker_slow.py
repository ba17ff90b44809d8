from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import SlowBroker
from harness.plan import DRAINED, AtStart, Step
from harness.scenario import Scenario, Script, Workload

LATENCY_MILLISECONDS, JITTER_MILLISECONDS = 60, 40


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract, random
    fault = SlowBroker(latency_milliseconds=LATENCY_MILLISECONDS, jitter_milliseconds=JITTER_MILLISECONDS)
    return Script(workload=workload, steps=(Step(when=AtStart(), fault=fault, until=DRAINED),))


BROKER_SLOW = Scenario(
    name="broker-slow",
    story="Every word between workers and broker is late, now more, now less.",
    covers=("F49",),
    guarantees=GUARANTEES,
    explore=explore,
    proxied=True,
)
