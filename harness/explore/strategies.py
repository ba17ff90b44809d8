"""Schedules as a Hypothesis strategy, for tests of a team's own. Needs Hypothesis, which nothing else here does.

`jobproof explore --schedules` draws with `random.Random` instead: what a seed gives must not change with the version of
Hypothesis, the command must not need it, and its shrinker takes hundreds of runs where each costs a second. Both draw
through the same function, so that both know the same schedules.
"""

from typing import Any

from hypothesis import strategies as st

from harness.contract import Contract
from harness.coverage import covered
from harness.explore.schedules import drawn, plan_of, workload_for
from harness.plan import Plan
from harness.runtimes.lane_system import CAPABILITIES


def plans(contract: Contract, job: str = "", *, bug: str = "") -> st.SearchStrategy[Plan]:
    """Plans of one to four faults that can be met; they shrink towards fewer steps and simpler faults.

    :raises ContractError: the contract has no such task
    """
    workload = workload_for(contract, job)

    @st.composite
    def strategy(draw: Any) -> Plan:
        def choose(among: Any) -> Any:
            return draw(st.sampled_from(among))

        steps = drawn(contract, workload, choose)
        plan = plan_of(contract, workload, steps, name="schedule", seed=0, bug=bug)
        (plan,), _ = covered((plan,), contract, CAPABILITIES)
        return plan

    return strategy().filter(lambda plan: bool(plan.steps))
