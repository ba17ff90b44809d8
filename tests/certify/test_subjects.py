"""Three applications as a team would write them: what is wrong is found, and what is right passes."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.certify.conftest import SUBJECTS, Environments, certification, findings, line_of
from tests.conftest import JobproofCommand, Ran, run_command

pytestmark = pytest.mark.timeout(300)
Certified = Callable[[str], Ran]


@pytest.fixture(scope="module")
def certified(environment_of: Environments, tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """How the certification of a subject ended; each is made once."""

    @cache
    def certify(subject: str) -> Ran:
        contract = SUBJECTS / subject / "jobproof_contract.py"
        words = ("--profile", "quick", "--seed", "7", "--python", environment_of(subject))
        return run_command("certify", str(contract), *words, directory=tmp_path_factory.mktemp(subject) / "out")

    return certify


def test_the_mail_that_is_checked_and_then_sent_is_found_at_its_line_in_its_window(certified: Certified) -> None:
    ran = certified("classic")

    assert ran.code == 1, ran.out + ran.err
    seen = findings(ran, part="run")
    assert set(seen) == {("effects-once", "shop.tasks.send_receipt")}
    (found,) = seen.values()
    line = line_of(SUBJECTS / "classic" / "shop" / "tasks.py", "smtp.send_message")
    assert found["where"] == f"shop/tasks.py:{line}"
    assert "2 different keys by key" in found["because"]
    assert "key" in found["fix"]
    windows = {window["name"].partition(" (")[0] for window in found["windows"]}
    assert windows >= {"SMTP message #1 after child", "killed-between-effect-and-record", "delivered-twice-at-once"}
    assert all(window["replay"].startswith("jobproof ") for window in found["windows"])


def test_the_audit_of_the_classic_is_part_of_its_certification(certified: Certified) -> None:
    read = findings(certified("classic"), part="audit")
    assert ("no-dead-letter-path", "shop.tasks.send_receipt") in read
    assert all(each["where"] and each["fix"] and each["failure_modes"] for each in read.values())


def test_a_charge_with_the_providers_key_passes(certified: Certified) -> None:
    ran = certified("keyed")

    assert ran.code == 0, ran.out + ran.err
    found = certification(ran)
    assert found["outcome"] == "held"
    assert found["findings"] == []
    (task,) = found["tasks"]
    assert task["survived"] == task["tried"] > 0


def test_the_subject_runs_in_its_own_environment_and_the_report_says_which_versions(certified: Certified) -> None:
    versions = certification(certified("classic"))["versions"]
    assert (versions["celery"], versions["kombu"]) == ("5.5.3", "5.5.4")


def test_a_chain_over_a_database_is_judged_by_its_rows(certified: Certified) -> None:
    ran = certified("storefront")

    assert ran.code == 1, ran.out + ran.err
    found = findings(ran, part="run")["same-outcome", "storefront.tasks.fulfil"]
    assert "table" in found["because"]
    commit = next(window for window in found["windows"] if window["name"].startswith("COMMIT shop #1 after child"))
    line = line_of(SUBJECTS / "storefront" / "storefront" / "tasks.py", "db.session.commit()")
    assert commit["where"] == f"storefront/tasks.py:{line}"
    left_out = {each["name"]: each["because"] for each in certification(ran)["left_out"]}
    assert left_out["storefront.tasks.bill"] == "judged as a part of other jobs only"
    assert "created_at" in left_out["learning"]


def test_every_report_is_written_and_what_was_not_covered_is_named_by_id(certified: Certified) -> None:
    ran = certified("keyed")
    names = {"certify.json", "audit.json", "report.html", "report.md", "junit.xml", "scenarios", "crash-points"}
    assert names <= {path.name for path in ran.directory.iterdir()}
    coverage = certification(ran)["coverage"]
    assert {"F01", "F23", "F24", "W8"} <= set(coverage["tested"])
    assert "F39" not in coverage["tested"]
    assert "F110" in coverage["not_covered"]
    page = (ran.directory / "report.md").read_text()
    assert "F110: a claim was left by a dead worker" in page


def test_a_scenario_is_repeated_with_the_command_that_a_finding_names(
    jobproof: JobproofCommand, environment_of: Environments
) -> None:
    contract = SUBJECTS / "classic" / "jobproof_contract.py"
    words = ("--contract", str(contract), "--seed", "7", "--python", environment_of("classic"))
    ran = jobproof("run", "delivered-twice-at-once", *words, out=True)
    assert ran.code == 1, ran.out + ran.err
    assert ran.violated() == {("effects-once", "delivered-twice-at-once")}


@pytest.mark.parametrize(("worker", "code"), [("reliable", 0), ("naive", 1)])
def test_workers_of_another_job_system_are_certified_without_an_audit(
    jobproof: JobproofCommand, worker: str, code: int
) -> None:
    contract = SUBJECTS / "shell_worker" / f"{worker}_contract.py"
    ran = jobproof("certify", str(contract), "--profile", "quick", "--seed", "7", out=True)
    assert ran.code == code, ran.out + ran.err
    found = certification(ran)
    assert found["tasks"][0]["tried"] > 0
    assert found["coverage"]["audited"] == []
