"""What the faults of the downstream share: a rule that meets one job's requests, in force while the fault is."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from harness.downstream import Answer, Rule
from harness.events import JobId
from harness.services.gate import Arrival
from harness.system import Capability, Evidence, Impact, System


class DownstreamFault(Struct, frozen=True, kw_only=True):
    """One job's requests meet an `answer`, `times` times or (None) always, after `skip` that are met as usual.

    Healed: the next request is met as usual.
    """

    job: JobId
    times: int | None = None
    skip: int = 0

    @property
    def answer(self) -> Answer:
        raise NotImplementedError

    @property
    def often(self) -> str:
        often = "always" if self.times is None else "once" if self.times == 1 else f"{self.times} times"
        return f"{often}, from its request {self.skip + 1} on" if self.skip else often

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.SCRIPT_DOWNSTREAM})

    @contextmanager
    def applied_to(self, system: System, arrival: Arrival | None) -> Iterator[Evidence]:
        del arrival
        call = next((call for call in system.jobs if call.job == self.job), None)
        task = system.contract.task(call.task) if call is not None else None
        if call is None or task is None:
            raise ValueError(f"the plan names {self.job}, which is not in its workload")
        effect, *_ = task.effects_of(call.identity)
        rule = Rule(
            name=f"{type(self).__name__}:{self.job}:{self.skip}",
            answer=self.answer,
            belongs_to=effect.belongs_to,
            identity=call.identity,
            times=self.times,
            skip=self.skip,
        )
        system.downstream.add(rule)
        impact = Impact(targets=(f"requests of {self.job}",), jobs=(self.job,))
        try:
            yield lambda: impact if system.downstream.uses(rule.name) else None
        finally:
            system.downstream.lift(rule.name)
