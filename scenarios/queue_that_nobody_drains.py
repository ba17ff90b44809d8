from random import Random

from harness.checkers import GUARANTEES
from harness.contract import Contract
from harness.faults import StopDraining
from harness.plan import AfterAlert, AtStart, Step
from harness.scenario import Scenario, Script, Workload


def explore(contract: Contract, workload: Workload, random: Random) -> Script:
    """A few jobs wait in a queue: too few for its depth to be remarkable, so only their age tells."""
    served = {queue for worker in contract.workers for queue in worker.queues}
    queues = sorted({task.queue for task in contract.tasks} & served)
    if contract.alerts is None or not queues:
        return Script(workload=workload, steps=())
    queue = random.choice(queues)
    step = Step(when=AtStart(), fault=StopDraining(queue=queue), until=AfterAlert(queue=queue))
    return Script(workload=workload, steps=(step,))


QUEUE_THAT_NOBODY_DRAINS = Scenario(
    name="queue-that-nobody-drains",
    story="A queue's workers are gone while jobs wait in it: an alert must fire in time, and clear afterwards.",
    covers=("F06", "F22", "F88"),
    guarantees=(*GUARANTEES, "alerts-fire"),
    explore=explore,
    asks="alerts",
    watched=True,
)
