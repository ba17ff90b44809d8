from functools import partial
from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import Contract, Worker
from harness.faults import RestartBroker
from harness.plan import AfterAttempt, AfterWorkload, AtCrashPoint, Step
from harness.scenario import CORE, FULL, Scenario, Script, Workload

EMPTY_OUTAGE_SECONDS = 0.5


def idle(outage_seconds: float, contract: Contract, workload: Workload, random: Random) -> Script:
    """Every job has been done; whether anybody still listens afterwards is what the canaries show."""
    del contract, random
    fault = RestartBroker(outage_seconds=outage_seconds, idle=True)
    return Script(workload=workload, steps=(Step(when=AfterWorkload(), fault=fault),))


def idle_and_empty(contract: Contract, workload: Workload, random: Random) -> Script:
    """Nothing was in the broker that could be lost, but for what it knows of queues.

    What is in it is gone with its data, whatever a worker does: only who keeps what he has asked for can ask again.
    """
    del contract, random
    fault = RestartBroker(outage_seconds=EMPTY_OUTAGE_SECONDS, idle=True, with_data=False)
    return Script(workload=workload, steps=(Step(when=AfterWorkload(), fault=fault),))


def busy(outage_seconds: float, contract: Contract, workload: Workload, random: Random) -> Script:
    """One job is in the middle of its effect; it goes on when the broker is back."""
    del contract
    job = random.choice(workload).job
    step = Step(
        when=AtCrashPoint(point="effect-received", job=job),
        fault=RestartBroker(outage_seconds=outage_seconds),
        until=AfterAttempt(job=job),
    )
    return Script(workload=workload, steps=(step,))


def with_default_flags(worker: Worker) -> tuple[Worker, ...]:
    """Flags that make a worker boot fast also hide what it does wrong when its connection is gone."""
    return (replace(worker, arguments=()),)


def _scenario(how: str, outage_seconds: float, profile: str) -> Scenario:
    length = f"{outage_seconds:g}s" if outage_seconds >= 1 else f"{outage_seconds * 1000:g}ms"
    return Scenario(
        name=f"broker-restarted-{how}-{length}",
        story=f"The broker is away for {outage_seconds:g} s and comes back with its data; the workers are {how}.",
        covers=("F39", "F35") if how == "busy" else ("F39",),
        guarantees=GUARANTEES,
        explore=partial({"idle": idle, "busy": busy}[how], outage_seconds),
        profile=profile,
        shape=with_default_flags,
    )


BROKER_RESTARTED = (
    _scenario("idle", 0.5, CORE),
    _scenario("busy", 1.0, CORE),
    _scenario("busy", 0.5, FULL),
    _scenario("idle", 1.0, FULL),
    _scenario("idle", 5.0, FULL),
    _scenario("busy", 5.0, FULL),
)

BROKER_RESTARTED_EMPTY = Scenario(
    name="broker-restarted-empty",
    story="The broker comes back without its data, queues and bindings among it; every job had been done.",
    covers=("F40",),
    guarantees=GUARANTEES,
    explore=idle_and_empty,
    profile=FULL,
    shape=with_default_flags,
)
