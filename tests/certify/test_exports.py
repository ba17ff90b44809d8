"""Jobs whose effect is a file: a torn one and a doubled one are found, and one that is published is left alone."""

import json
from pathlib import Path

import pytest

from tests.certify.conftest import SUBJECTS, certification, findings, line_of
from tests.conftest import Ran, run_command

pytestmark = pytest.mark.timeout(300)
FOLDER = SUBJECTS / "exports"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    words = ("certify", str(FOLDER / "exports_contract.py"), "--profile", "quick", "--seed", "7")
    return run_command(*words, directory=tmp_path_factory.mktemp("exports") / "out")


def test_a_file_that_is_written_in_place_is_found_torn_at_its_line(ran: Ran) -> None:
    assert ran.code == 1, ran.out + ran.err
    found = findings(ran, part="run")["same-outcome", "exports.in_place"]
    assert "monthly/1.csv of exports.in_place is torn" in found["because"]
    assert found["where"] == f"exports.py:{line_of(FOLDER / 'exports.py', 'file.writelines(')}"
    assert any(window["name"].startswith("WRITE monthly/1.csv #1 after child (2 of 2") for window in found["windows"])
    assert "rename it" in found["fix"]


def test_a_file_under_a_name_of_each_attempts_own_is_found_doubled(ran: Ran) -> None:
    found = findings(ran, part="run")["same-outcome", "exports.under_any_name"]
    assert "is doubled: receipts/receipt-" in found["because"]
    assert {window["kind"] for window in found["windows"]} == {"scenario", "crash point"}


def test_a_file_that_is_written_aside_and_renamed_is_left_alone(ran: Ran) -> None:
    assert set(findings(ran, part="run")) == {
        ("same-outcome", "exports.in_place"),
        ("same-outcome", "exports.under_any_name"),
    }
    task = next(each for each in certification(ran)["tasks"] if each["name"] == "exports.published")
    assert task["survived"] == task["tried"] >= 3


def test_inputs_that_were_drawn_are_told_and_the_command_that_repeats_a_finding_draws_them_again(ran: Ran) -> None:
    found = certification(ran)
    task = next(each for each in found["tasks"] if each["name"] == "exports.under_any_name")
    assert len(task["drawn"]) == 2
    assert found["versions"]["hypothesis"]
    windows = findings(ran, part="run")["same-outcome", "exports.under_any_name"]["windows"]
    assert all("--seed 7" in window["replay"] for window in windows)
    (sample,) = found["sampled"]
    assert (sample["draws"], sample["failed"], sample["bound"]) == (1, 1, None)
    assert f"2 inputs of exports.under_any_name drawn with seed 7: {json.dumps(task['drawn'][0])}" in ran.out


def test_what_differs_in_files_from_run_to_run_is_said(ran: Ran) -> None:
    doubts = [each["because"] for each in certification(ran)["left_out"] if each["name"] == "learning"]
    assert "folder receipts: receipt-*.txt has another name in each run" in doubts
    assert "folder published: 1.csv is compared without #1, which differs from run to run" in doubts
    assert Path(ran.directory / "report.md").read_text().count("receipt-\\*.txt") >= 1
