"""The same scenarios, guarantees and reports as on this machine's own processes."""

from tests.conftest import ROOT, JobproofCommand
from tests.containers.conftest import DOCKER

SOME = (
    "worker-killed-main",
    "dead-letter-store-and-spool-down",
    "broker-slow",
    "host-crashed",
)
NAIVE = ROOT / "tests" / "subjects" / "shell_worker" / "naive_contract.py"


def test_scenarios_of_every_kind_hold_for_the_reference_worker_and_the_report_says_on_what(
    daemon: object, jobproof: JobproofCommand
) -> None:
    ran = jobproof("run", *SOME, *DOCKER, "--seed", "11", out=True)
    assert ran.code == 0, ran.out + ran.err
    assert {each["name"] for each in ran.result["scenarios"]} == {"fault-free", *SOME}
    versions = ran.result["versions"]
    assert versions["runtime"].startswith("docker ")
    assert {"base image", "image of the subject", "image of the harness", "broker server", "fault proxy"} <= set(
        versions
    )
    if "machine" in DOCKER:
        assert "a substitute made of this machine" in versions["base image"]
        assert "a substitute made of this machine" in (ran.directory / "report.html").read_text()
    assert " ".join(DOCKER) in ran.result["replay"]


def test_a_worker_whose_host_runs_out_of_something_goes_on_once_it_is_there_again(
    daemon: object, jobproof: JobproofCommand
) -> None:
    ran = jobproof("run", "disk-full", "processes-exhausted", *DOCKER, "--seed", "11", out=True)
    assert ran.code == 0, ran.out + ran.err


def test_a_planted_bug_is_found_there_by_its_own_scenario(daemon: object, jobproof: JobproofCommand) -> None:
    ran = jobproof("run", "killed-between-effect-and-record", "--bug", "key-in-memory", *DOCKER, out=True)
    assert ran.code == 1, ran.out + ran.err
    assert ("effects-once", "killed-between-effect-and-record") in ran.violated()


def test_a_worker_that_is_not_python_is_put_to_the_scenarios_that_need_no_probe(
    daemon: object, jobproof: JobproofCommand
) -> None:
    ran = jobproof("run", "worker-killed-main", "--contract", str(NAIVE), *DOCKER, out=True)
    assert ran.code == 1, ran.out + ran.err
    assert ("nothing-lost", "worker-killed-main") in ran.violated()


def test_an_image_that_is_not_to_be_had_is_one_line_and_exit_code_2(daemon: object, jobproof: JobproofCommand) -> None:
    ran = jobproof("run", "reply-lost", "--runtime", "docker", "--base-image", "jobproof.invalid/none:1", out=True)
    assert ran.code == 2
    assert "--base-image machine" in ran.err
    assert "jobproof.invalid/none:1" in ran.err
