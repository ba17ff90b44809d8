"""A worker in a container is killed at every message of a job: the same names and verdicts as for a local process.

The proxies stand in the worker's own network.
"""

import pytest

from tests.conftest import JobproofCommand
from tests.containers.conftest import DOCKER
from tests.contract.test_explore import EVERYBODY, POST, explored, failed, fates

ONLY_BOTH_SIDES = ("--only", f"{POST} child", "--only", "POST /v1/emails #1 before child")


def test_a_job_of_the_reference_worker_survives_every_crash_in_its_container(
    daemon: object, jobproof: JobproofCommand
) -> None:
    ran = jobproof("explore", "--job", "send_verification_email", *DOCKER, "--budget", "240s", out=True)
    assert ran.code == 0, ran.out + ran.err
    whom = [("reserve", EVERYBODY[1:]), ("SMTP message", EVERYBODY), ("ack", EVERYBODY[1:])]
    names = {f"{name} #1 {side} {who}" for name, those in whom for side in ("before", "after") for who in those}
    lost = {f"reserve #1 before {who}" for who in EVERYBODY[1:]}  # by the broker, whatever the job does
    assert fates(ran) == dict.fromkeys(names - lost, "held")
    found = explored(ran)
    assert {point["name"] for point in found["points"] if point["outcome"] == "violated"} == lost
    assert found["versions"]["runtime"].startswith("docker ")
    assert any("commits of SQLite databases" in each for each in found["cannot_see"])
    assert any("no filter can be put from outside" in each for each in found["notes"])
    assert " ".join(DOCKER) in found["replay"]


def test_a_planted_bug_fails_there_at_its_message_once_it_was_applied(
    daemon: object, jobproof: JobproofCommand
) -> None:
    words = ("explore", "--bug", "check-then-send", "--job", "send_invoice_email", *ONLY_BOTH_SIDES, *DOCKER)
    ran = jobproof(*words, "--lanes", "1", "--budget", "240s", out=True)
    assert ran.code == 1, ran.out + ran.err
    assert failed(ran) == {f"{POST} child"}
    assert fates(ran)["POST /v1/emails #1 before child"] == "held"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--runtime", "docker", "--interception", "seccomp"), "--interception seccomp cannot be had with --runtime"),
        (("--runtime", "docker", "--schedules", "1"), "--schedules cannot be had with --runtime docker"),
        (("--image", "shop/worker:1"), "--image: images are for --runtime docker"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(
    words: tuple[str, ...], told: str, jobproof: JobproofCommand
) -> None:
    ran = jobproof("explore", "--job", "sync_customer", *words)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert told in ran.err
