"""Inputs that are given as a strategy are drawn when the contract is compiled, and the same seed draws the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.contract import Contract, ContractError, is_strategy
from harness.contract_file import compile_contract

CONTRACT = """from hypothesis import strategies as st
from harness.contract import Contract, Task

CONTRACT = Contract(
    app="shop:app",
    tasks=(
        Task(
            name="shop.send",
            inputs={inputs},
            drawn={drawn},
        ),
    ),
)
"""
ORDERS = 'st.fixed_dictionaries({"order": st.integers(1, 10**6), "note": st.text(max_size=5)})'


def drawn(folder: Path, inputs: str = ORDERS, *, count: int = 0, seed: int = 7) -> Contract:
    path = folder / "jobproof_contract.py"
    path.write_text(CONTRACT.format(inputs=inputs, drawn=count))
    return compile_contract(path, seed=seed)


def test_the_same_seed_draws_the_same_inputs_and_another_seed_others(tmp_path: Path) -> None:
    (one,), (again,), (other,) = (drawn(tmp_path, seed=seed).tasks for seed in (7, 7, 8))
    assert one.inputs == again.inputs != other.inputs
    assert (len(one.inputs), one.drawn) == (3, 3)
    assert all(1 <= each["order"] <= 10**6 for each in one.inputs)


def test_as_many_are_drawn_as_are_asked_for_and_each_is_another_one(tmp_path: Path) -> None:
    (task,) = drawn(tmp_path, count=12).tasks
    assert len({each["order"] for each in task.inputs} | {each["note"] for each in task.inputs}) > 12
    assert len(task.inputs) == task.drawn == 12


def test_a_strategy_that_has_fewer_gives_all_of_them(tmp_path: Path) -> None:
    (task,) = drawn(tmp_path, 'st.sampled_from([{"order": 1}, {"order": 2}])', count=5).tasks
    assert (sorted(each["order"] for each in task.inputs), task.drawn) == ([1, 2], 2)


@pytest.mark.parametrize(
    ("inputs", "count", "error"),
    [
        ("st.integers()", 0, "keyword arguments are wanted"),
        ('st.just({"at": float("nan")})', 0, "which arrives as {'at': None}"),
        ('st.just({"pair": (1, 2)})', 0, "which arrives as {'pair': [1, 2]}"),
        ('st.just({"what": object()})', 0, "which is not JSON"),
        ('st.just({"n": 1}).filter(lambda each: False)', 0, "its strategy gives no inputs"),
        (ORDERS, 1000, "at most 100 inputs are drawn"),
        ('({"order": 1},)', 4, "inputs is no Hypothesis strategy"),
    ],
)
def test_what_cannot_be_drawn_or_sent_is_told_with_the_line_of_its_task(
    tmp_path: Path, inputs: str, count: int, error: str
) -> None:
    with pytest.raises(ContractError) as told:
        drawn(tmp_path, inputs, count=count)
    assert error in str(told.value)
    assert f"jobproof_contract.py:{8}: Task('shop.send')" in str(told.value)


def test_whoever_draws_nothing_needs_no_hypothesis(tmp_path: Path) -> None:
    assert not is_strategy(({"order": 1},))
    path = tmp_path / "jobproof_contract.py"
    path.write_text(CONTRACT.format(inputs='({"order": 1},)', drawn=0).split("\n", 1)[1])
    blocked = "import sys; sys.modules['hypothesis'] = None; from harness.contract_file import _compile; "
    said = f"{blocked}from pathlib import Path; print('error' in _compile(Path({str(path)!r}), 0))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
