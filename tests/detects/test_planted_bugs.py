"""Every planted bug is found where the table says, and nowhere else; the worker without one is left alone."""

import re
from pathlib import Path

import pytest

from harness.checkers import CATALOGUE as CHECKERS
from harness.contract import PlantedBug
from harness.coverage import ONLY_HOSTS
from reference_worker.bugs.catalogue import CATALOGUE as PLANTED
from reference_worker.bugs.catalogue import plant_in_settings
from reference_worker.contract import CONTRACT
from scenarios import CATALOGUE
from tests.conftest import ROOT, JobproofCommand

BUGS = CONTRACT.planted_bugs


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_violates_its_guarantee_and_nothing_outside_its_list(
    bug: PlantedBug, jobproof: JobproofCommand
) -> None:
    # One lane runs no scenario for what the fault-free run has shown already; of two, one has begun by then.
    ran = jobproof("run", "--bug", bug.name, "--seed", "11", "--lanes", "2", out=True)

    assert ran.code == 1, ran.out + ran.err
    violated = ran.violated()
    for scenario in bug.scenarios:
        assert (bug.guarantee, scenario) in violated, ran.out
    assert {guarantee for guarantee, _ in violated} <= {bug.guarantee, *bug.also}, ran.out
    assert f"jobproof run {bug.scenarios[0]} --bug {bug.name} --seed 11" in ran.out


@pytest.mark.timeout(900)
def test_the_worker_without_a_planted_bug_is_not_accused(jobproof: JobproofCommand) -> None:
    ran = jobproof("run", "--profile", "full", "--seed", "11", "--lanes", "2", out=True)

    assert ran.code == 0, ran.out + ran.err
    assert ran.result["outcome"] == "held"
    not_covered = {each["name"]: each["because"] for each in ran.result["not_covered"]}
    of_hosts = {name for name, because in not_covered.items() if because.endswith(ONLY_HOSTS)}
    assert not_covered.keys() - of_hosts == {"recoverer-killed", "recoverer-doubled"}  # it declares none
    assert [scenario["name"] for scenario in ran.result["scenarios"]] == [
        "fault-free",
        *(scenario.name for scenario in CATALOGUE if scenario.name not in not_covered),
    ]
    for scenario in ran.result["scenarios"][1:]:
        statuses = {guarantee["guarantee"]: guarantee["status"] for guarantee in scenario["guarantees"]}
        assert statuses["exercised"] == "held"


def test_the_page_of_what_is_found_is_the_contracts(jobproof: JobproofCommand) -> None:
    page = jobproof("list", "bugs", "--format", "markdown").out
    assert (ROOT / "docs" / "detection.md").read_text() == page, "run `make matrix`"


def test_the_bugs_that_the_readme_names_are_planted_and_counted() -> None:
    section = (ROOT / "README.md").read_text().partition("## What it has been seen to find")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", section))
    assert named
    assert named <= {bug.name for bug in BUGS}
    assert "Thirty-one" in section
    assert len(BUGS) == 31


def test_the_contract_names_every_bug_that_the_worker_has_and_no_other() -> None:
    assert {bug.name for bug in BUGS} == set(PLANTED)


def test_bugs_name_scenarios_and_guarantees_that_exist() -> None:
    for bug in BUGS:
        assert set(bug.scenarios) <= {scenario.name for scenario in CATALOGUE}
        assert {bug.guarantee, *bug.also} <= {checker.guarantee for checker in CHECKERS}


def test_a_bug_that_is_not_planted_is_not_in_the_worker(tmp_path: Path) -> None:
    del tmp_path
    with pytest.raises(ValueError, match="no planted bug"):
        plant_in_settings(None, "early-akc")
