from functools import partial
from random import Random

from msgspec.structs import replace

from harness.checkers import GUARANTEES
from harness.contract import Contract, Worker
from harness.faults import RestartBroker
from harness.plan import AfterAttempt, AfterWorkload, AtCrashPoint, Step
from harness.scenario import CORE, FULL, Scenario, Script, Workload


def idle(outage_seconds: float, contract: Contract, workload: Workload, random: Random) -> Script:
    """Every job has been done; whether anybody still listens afterwards is what the canaries show."""
    del contract, random
    fault = RestartBroker(outage_seconds=outage_seconds, idle=True)
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


def with_default_flags(worker: Worker) -> Worker:
    """Flags that make a worker boot fast also hide what it does wrong when its connection is gone."""
    return replace(worker, arguments=())


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
