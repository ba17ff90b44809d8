"""After a kill the same work is submitted again: who is turned away by a dead worker's marker is found."""

import json
from pathlib import Path

from tests.certify.conftest import SUBJECTS
from tests.conftest import run_command


def test_a_marker_that_a_dead_worker_has_left_is_found_and_a_lock_that_goes_with_it_is_left_alone(
    tmp_path: Path,
) -> None:
    contract = str(SUBJECTS / "markers" / "markers_contract.py")
    ran = run_command(
        *("run", "killed-and-submitted-again", "worker-killed-main", "--contract", contract, "--seed", "7"),
        directory=tmp_path / "out",
    )
    assert ran.code == 1, ran.out + ran.err
    name = "killed-and-submitted-again"
    assert ran.violated() == {("nothing-lost", name), ("same-outcome", name)}  # and not where it is not asked for again
    result = json.loads((ran.directory / "result.json").read_bytes())
    (lost,) = [
        each["because"]
        for scenario in result["scenarios"]
        for each in scenario["guarantees"]
        if each["guarantee"] == "nothing-lost" and each["status"] == "violated"
    ]
    assert lost.startswith("1 accepted job lost: job-2 (no effect at all)")  # of markers.left, and none of markers.held
