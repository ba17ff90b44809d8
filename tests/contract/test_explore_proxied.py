"""Where sends cannot be seen, proxies stop the worker: the same crash points by the same names, but for commits."""

import shutil
from pathlib import Path

import pytest

from harness.boundaries import user_notify
from tests.conftest import JobproofCommand, Ran
from tests.contract.test_explore import EVERYBODY, HARD, POST, explored, failed, fates

PROXY = {"JOBPROOF_INTERCEPTION": "proxy"}
MESSAGES = {
    "send_verification_email": "SMTP message",
    "send_invoice_email": "POST /v1/emails",
    "sync_customer": "PUT /v1/customers/{customer_id}",
}


def names(ran: Ran) -> list[tuple[str, str, str]]:
    """The boundaries of the clean runs that are no commit, each with whose it is."""
    found = explored(ran)["clean"]["boundaries"]
    return [(each["name"], each["process"], each["dependency"]) for each in found if "COMMIT" not in each["name"]]


def points(ran: Ran) -> set[str]:
    """The names of all crash points that are at no commit, those that leave the same behind as another among them."""
    every = {name for point in explored(ran)["points"] for name in (point["name"], *point["same_as"])}
    return {name for name in every if "COMMIT" not in name}


@pytest.mark.parametrize(("job", "message"), MESSAGES.items())
def test_a_job_of_the_reference_worker_survives_every_crash(job: str, message: str, jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", "--job", job, "--budget", "120s", out=True, **PROXY)
    assert set(fates(ran).values()) == {"held"}, ran.out
    assert ran.code == 0
    whom = [("reserve", EVERYBODY[1:]), (message, EVERYBODY), ("ack", EVERYBODY[1:])]
    assert points(ran) == {
        f"{name} #1 {side} {target}" for name, targets in whom for side in ("before", "after") for target in targets
    }
    lost = [(point["name"], point["outcome"]) for point in explored(ran)["points"] if point["of_the_broker"]]
    assert lost == [("reserve #1 before main", "violated"), ("reserve #1 before group", "violated")]


def test_a_planted_bug_fails_at_its_message_and_nowhere_else(jobproof: JobproofCommand) -> None:
    words = ("explore", "--bug", "check-then-send", "--job", "send_invoice_email", "--budget", "120s")
    ran = jobproof(*words, out=True, **PROXY)
    assert failed(ran) == {f"{POST} {target}" for target in EVERYBODY}
    assert set(fates(ran).values()) == {"held", "violated"}
    assert ran.code == 1
    for point in explored(ran)["points"]:
        if point["outcome"] == "violated":
            assert point["failed"] == point["tried"] == 2, point
            assert "--interception proxy" in point["replay"]


def test_what_was_not_seen_is_said(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", "--job", "sync_customer", "--targets", "child", out=True, **PROXY)
    found = explored(ran)
    assert "proxies" in found["interception"]
    assert "commits of SQLite databases" in found["cannot_see"][0]
    assert "message-counting proxies" in ran.out
    assert not any("COMMIT" in each["name"] for each in found["clean"]["boundaries"])


@pytest.mark.skipif(bool(user_notify.available()), reason=user_notify.available())
@pytest.mark.parametrize("job", ["send_invoice_email", "charge_invoice"])
def test_crash_points_are_those_of_the_other_way_but_for_commits(
    job: str, jobproof: JobproofCommand, tmp_path: Path
) -> None:
    told = []
    for way in ("seccomp", "proxy"):
        ran = jobproof("explore", "--job", job, "--interception", way, "--budget", "120s", out=True)
        told.append((names(ran), points(ran)))
        shutil.move(ran.directory, tmp_path / way)
    assert told[0] == told[1]


def test_the_same_points_and_verdicts_come_again(jobproof: JobproofCommand, tmp_path: Path) -> None:
    told = []
    for number in range(2):
        words = ("explore", "--job", "sync_customer", "--lanes", str(1 + number))
        ran = jobproof(*words, out=True, **PROXY)
        told.append(fates(ran))
        shutil.move(ran.directory, tmp_path / str(number))
    assert told[0] == told[1]
    assert len(told[0]) == 12


def test_a_request_that_is_held_when_its_sender_dies_was_never_seen_by_the_played_downstream(
    jobproof: JobproofCommand,
) -> None:
    ran = jobproof("explore", HARD, "--job", "forks", out=True, **PROXY)
    # The job does not look at how its helper ended, so nobody sends again.
    assert failed(ran) == {"POST /told #1 before child"}
    (point,) = [point for point in explored(ran)["points"] if point["name"] in failed(ran)]
    log = ran.directory / "events" / f"{point['trial']}.ledger.jsonl"
    assert not log.exists() or "Effect" not in log.read_text()


def test_an_interception_that_there_is_not_is_told_in_one_line(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", "--job", "sync_customer", JOBPROOF_INTERCEPTION="gate")
    assert ran.code == 2
    assert "'gate' is not one of 'seccomp', 'proxy'" in ran.err
