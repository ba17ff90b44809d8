"""What recovers jobs is a part of the subject: it runs in every run, and is killed and doubled."""

import json
from collections.abc import Callable
from functools import cache

import pytest

from harness.contract import ContractError, Sidecar
from tests.certify.conftest import SUBJECTS
from tests.conftest import Ran, run_command

Runs = Callable[[str], Ran]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    @cache
    def run(kind: str) -> Ran:
        contract = SUBJECTS / "relays" / f"{kind}_contract.py"
        words = ("run", "recoverer-killed", "recoverer-doubled", "--contract", str(contract), "--seed", "7")
        return run_command(*words, directory=tmp_path_factory.mktemp(kind) / "out")

    return run


def test_a_relay_whose_receiver_deduplicates_may_die_and_run_twice(runs: Runs) -> None:
    ran = runs("keyed")
    assert ran.code == 0, ran.out + ran.err
    result = json.loads((ran.directory / "result.json").read_bytes())
    assert [each["outcome"] for each in result["scenarios"]] == ["held"] * 3


def test_what_a_second_relay_enqueues_again_is_found(runs: Runs) -> None:
    ran = runs("unkeyed")
    assert ran.code == 1, ran.out + ran.err
    assert ("effects-once", "recoverer-doubled") in ran.violated()
    assert {guarantee for guarantee, _ in ran.violated()} == {"effects-once"}


def test_a_recoverer_that_looks_too_seldom_to_be_waited_for_is_refused() -> None:
    with pytest.raises(ContractError, match="recovers_within_seconds is 60"):
        Sidecar(name="sweeper", command=("sweep",), recovers_within_seconds=60)
