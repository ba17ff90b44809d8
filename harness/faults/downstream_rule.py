"""What the faults of the downstream share: a rule that meets one job's requests, in force while the fault is."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.downstream import Answer, Rule
from harness.events import JobId
from harness.system import Evidence, Impact, System


@contextmanager
def rule_for(system: System, job: JobId, answer: Answer, times: int | None) -> Iterator[Evidence]:
    call = next((call for call in system.jobs if call.job == job), None)
    task = system.contract.task(call.task) if call is not None else None
    if call is None or task is None:
        raise ValueError(f"the plan names {job}, which is not in its workload")
    effect = task.effects[0]
    rule = Rule(
        name=f"{type(answer).__name__}:{job}",
        answer=answer,
        belongs_to=effect.belongs_to,
        identity=call.identity,
        times=times,
    )
    system.downstream.add(rule)
    impact = Impact(targets=(f"requests of {job}",), jobs=(job,))
    try:
        yield lambda: impact if system.downstream.uses(rule.name) else None
    finally:
        system.downstream.lift(rule.name)
