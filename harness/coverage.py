"""Which plans a subject can be put to at all. What is left out is named: nothing is known of it."""

from collections.abc import Iterable

from msgspec.structs import replace

from harness.contract import Contract
from harness.plan import NotCovered, Plan
from harness.system import OF_HOSTS, Capability
from harness.systems import system_of

NEVER = "this runtime cannot do that"
MISSING = {Capability.MOVE_CLOCK: "it takes libfaketime: pip install 'jobproof[clock]'"}
ONLY_HOSTS = "it takes a machine for each worker: see --runtime docker"


def covered(
    plans: Iterable[Plan], contract: Contract, runtime: frozenset[Capability]
) -> tuple[tuple[Plan, ...], tuple[NotCovered, ...]]:
    """The plans that can be carried out, without the guarantees that cannot be judged; and what was left out.

    `runtime` is what the runtime can do. What the contract's job system cannot is left out, and so is each plan that
    needs it.
    """
    system = system_of(contract)
    cannot = {need: ONLY_HOSTS if need in OF_HOSTS else NEVER for need in Capability if need not in runtime}
    cannot |= {need: why for need, why in MISSING.items() if need in cannot}
    cannot |= system.cannot(contract)
    kept: list[Plan] = []
    left_out: list[NotCovered] = []
    unjudged: dict[str, str] = {}
    for plan in plans:
        if missing := sorted(plan.needs & cannot.keys()):
            because = "; ".join(f"needs {need}: {cannot[need]}" for need in missing)
            left_out.append(NotCovered(name=plan.scenario, because=because))
            continue
        unjudged |= {name: why for name, why in system.unjudged.items() if name in plan.guarantees}
        judged = tuple(name for name in plan.guarantees if name not in system.unjudged)
        kept.append(replace(plan, guarantees=judged))
    left_out += [NotCovered(name=name, because=f"cannot be judged: {why}") for name, why in unjudged.items()]
    return tuple(kept), tuple(left_out)
