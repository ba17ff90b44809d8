from random import Random

from harness.contract import Contract
from harness.scenario import Scenario, Script, Workload


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    del contract, random
    return Script(workload=workload, steps=())


FAULT_FREE = Scenario(
    name="fault-free",
    story="Nothing goes wrong. How this run ends is what the others are compared with.",
    covers=(),
    guarantees=(
        "nothing-lost",
        "effects-once",
        "attempts-bounded",
        "dead-letters-exact",
        "bounded-wait",
        "alerts-fire",
        "no-orphans",
        "workers-listening",
    ),
    watched=True,
    explore=explore,
)
