"""Which plans a subject can be put to at all. What is left out is named: nothing is known of it."""

from collections.abc import Iterable

from msgspec.structs import replace

from harness.plan import NotCovered, Plan
from harness.system import Capability
from harness.systems.driver import JobSystem


def covered(
    plans: Iterable[Plan], system: JobSystem, capabilities: frozenset[Capability]
) -> tuple[tuple[Plan, ...], tuple[NotCovered, ...]]:
    """The plans that can be carried out, without the guarantees that cannot be judged; and what was left out.

    `capabilities` are those that the runtime has and the system can use.
    """
    kept: list[Plan] = []
    left_out: list[NotCovered] = []
    unjudged: dict[str, str] = {}
    for plan in plans:
        if missing := plan.needs - capabilities:
            left_out.append(NotCovered(name=plan.scenario, because=f"it needs {', '.join(sorted(missing))}"))
            continue
        unjudged |= {name: why for name, why in system.unjudged.items() if name in plan.guarantees}
        judged = tuple(name for name in plan.guarantees if name not in system.unjudged)
        kept.append(replace(plan, guarantees=judged))
    left_out += [NotCovered(name=name, because=why) for name, why in unjudged.items()]
    return tuple(kept), tuple(left_out)
