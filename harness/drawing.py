"""Inputs that a contract gives as a Hypothesis strategy, drawn once, when the contract is compiled.

Each is drawn by a run of Hypothesis of its own, with a seed of its own, so that no draw depends on the one before. The
same seed gives the same inputs, with the same version of Hypothesis, which is imported here only if it is needed.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from harness.contract import DRAWN_MAX, Contract, ContractError, Task, is_strategy

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

DRAWN = 3
# The first example of a run is always the simplest, and the last of a small space always the same: the seed says which.
EXAMPLES = 8
TRIES_PER_INPUT = 10


def with_inputs_drawn(contract: Contract, *, seed: int) -> Contract:
    """The contract with inputs in the place of each strategy: as many as asked for that have different identities.

    A strategy that has fewer gives all that were found.

    :raises ContractError: what is drawn cannot be sent to a task, or nothing can be drawn
    """
    return replace(contract, tasks=tuple(_drawn(task, seed) for task in contract.tasks))


def _drawn(task: Task, seed: int) -> Task:
    if not is_strategy(task.inputs):
        if task.drawn:
            raise ContractError(f"Task({task.name!r}): drawn is {task.drawn}, and inputs is no Hypothesis strategy")
        return task
    wanted = task.drawn or DRAWN
    if wanted > DRAWN_MAX:
        raise ContractError(f"Task({task.name!r}): drawn is {wanted}; at most {DRAWN_MAX} inputs are drawn")
    found: dict[str, dict[str, Any]] = {}
    for number in range(TRIES_PER_INPUT * wanted):
        arguments = _arguments(task, _one(task, seed_of(seed, task.name, number)))
        found.setdefault(task.identity_of(arguments), arguments)
        if len(found) == wanted:
            break
    return replace(task, inputs=tuple(found.values()), drawn=len(found))


def seed_of(seed: int, task: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {number} {task}".encode()).digest()[:8])


def _one(task: Task, seed: int) -> Any:
    import hypothesis

    found: list[Any] = []
    strategy: SearchStrategy[Any] = task.inputs  # type: ignore[assignment] # it was asked whether it is one

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def see(value: Any) -> None:
        found.append(value)

    try:
        see()
    except Exception as error:
        raise ContractError(f"Task({task.name!r}): its strategy gives no inputs: {error}") from error
    return found[seed % len(found)]


def _arguments(task: Task, value: Any) -> dict[str, Any]:
    """What was drawn, if it arrives at the task as it was drawn."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ContractError(
            f"Task({task.name!r}): its strategy draws {value!r}; keyword arguments are wanted, as from "
            f"st.fixed_dictionaries({{'order_id': st.integers()}})"
        )
    try:
        sent = json.loads(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ContractError(f"Task({task.name!r}): its strategy draws {value!r}, which is not JSON: {error}") from error
    if sent != value:
        raise ContractError(
            f"Task({task.name!r}): its strategy draws {value!r}, which arrives as {sent!r}: map it to what is sent"
        )
    return value
