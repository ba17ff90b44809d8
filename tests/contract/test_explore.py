"""A real worker is killed at each boundary of a job; what it survives is told, and what not, where it happens."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.boundaries import user_notify
from tests.conftest import ROOT, JobproofCommand, Ran
from tests.postgresql import postgresql_url

pytestmark = pytest.mark.skipif(bool(user_notify.available()), reason=user_notify.available())

HARD = str(ROOT / "tests" / "subjects" / "hard" / "hard_contract.py")


def explored(ran: Ran) -> Any:
    path = ran.directory / "explore.json"
    assert path.exists(), ran.out + ran.err
    return json.loads(path.read_bytes())


def fates(ran: Ran) -> dict[str, str]:
    """The outcome of each crash point of the job's own."""
    return {point["name"]: point["outcome"] for point in explored(ran)["points"] if not point["of_the_broker"]}


def failed(ran: Ran) -> set[str]:
    return {name for name, outcome in fates(ran).items() if outcome == "violated"}


@pytest.mark.parametrize(
    ("job", "points"),
    [
        ("send_verification_email", 21),
        ("send_invoice_email", 21),
        ("charge_invoice", 27),
        ("sync_customer", 21),
        ("generate_export", 30),
    ],
)
def test_a_job_of_the_reference_worker_survives_every_crash_and_what_the_broker_loses_is_told(
    job: str, points: int, jobproof: JobproofCommand
) -> None:
    ran = jobproof("explore", "--job", job, "--budget", "120s", out=True)
    assert set(fates(ran).values()) == {"held"}, ran.out
    assert len(fates(ran)) == points
    assert ran.code == 0
    lost = [point for point in explored(ran)["points"] if point["of_the_broker"]]
    assert [(point["name"], point["outcome"]) for point in lost] == [
        ("reserve #1 before main", "violated"),
        ("reserve #1 before group", "violated"),
    ]


def test_the_same_points_and_verdicts_come_again(jobproof: JobproofCommand, tmp_path: Path) -> None:
    told = []
    for number in range(3):
        ran = jobproof(
            "explore", "--job", "sync_customer", "--lanes", str(1 + number % 2), "--targets", "child", out=True
        )
        told.append(fates(ran))
        shutil.move(ran.directory, tmp_path / str(number))
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 5


POST = "POST /v1/emails #1 after"
EVERYBODY = ("child", "main", "group")


@pytest.mark.parametrize(
    ("bug", "job", "where"),
    [
        ("check-then-send", "send_invoice_email", {f"{POST} {target}" for target in EVERYBODY}),
        ("key-in-memory", "send_invoice_email", {f"{POST} {target}" for target in EVERYBODY}),
        (
            "mark-before-send",
            "send_invoice_email",
            {f"COMMIT reference_worker #2 after {target}" for target in EVERYBODY},
        ),
        (
            "outbox-outside-transaction",
            "charge_invoice",
            {f"COMMIT reference_worker #2 after {target}" for target in EVERYBODY},
        ),
        (
            "claim-without-takeover",
            "generate_export",
            {
                f"{point} {target}"
                for point in (
                    "COMMIT reference_worker #2 after",
                    "PUT /v1/exports/{export_id} #1 before",
                    "PUT /v1/exports/{export_id} #1 after",
                )
                for target in EVERYBODY
            },
        ),
        (
            "late-ack-only",
            "send_invoice_email",
            {f"COMMIT reference_worker #1 {side} child" for side in ("before", "after")} | {f"{POST} child"},
        ),
    ],
)
def test_a_planted_bug_fails_at_its_boundary_and_nowhere_else(
    bug: str, job: str, where: set[str], jobproof: JobproofCommand
) -> None:
    ran = jobproof("explore", "--bug", bug, "--job", job, "--budget", "120s", out=True)
    assert failed(ran) == where
    assert set(fates(ran).values()) == {"held", "violated"}
    assert ran.code == 1
    for point in explored(ran)["points"]:
        if point["outcome"] == "violated":
            assert point["failed"] == point["tried"] == 2, point
            assert point["name"] in point["replay"]


def test_each_boundary_is_told_with_the_line_of_the_task_that_caused_it(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", "--bug", "check-then-send", "--job", "send_invoice_email", "--targets", "child", out=True)
    file = "reference_worker/bugs/in_tasks.py"
    source = (ROOT / file).read_text().splitlines()
    where = {boundary["name"]: boundary["where"] for boundary in explored(ran)["clean"]["boundaries"]}

    def code(name: str) -> str:
        path, _, line = where[name].rpartition(":")
        assert path == file, where
        return source[int(line) - 1]

    assert "deliver(invoice" in code("POST /v1/emails #1")
    assert "mark_email_sent" in code("COMMIT reference_worker #2")
    assert where["ack #1"] == ""  # the main process's, and none of the subject's lines
    assert f"at {where['POST /v1/emails #1']}." in ran.out


def test_an_early_acknowledgement_loses_the_job_at_everything_that_comes_before_its_effect_is_recorded(
    jobproof: JobproofCommand,
) -> None:
    ran = jobproof("explore", "--bug", "early-ack", "--job", "send_invoice_email", "--targets", "group", out=True)
    assert {"COMMIT reference_worker #1 after group", f"{POST} group"} <= failed(ran)
    assert fates(ran)["COMMIT reference_worker #3 after group"] == "held"


def test_one_crash_is_repeated_by_its_name_and_judged_again_from_what_was_kept(jobproof: JobproofCommand) -> None:
    name = f"{POST} child"
    ran = jobproof("explore", "--bug", "check-then-send", "--job", "send_invoice_email", "--only", name, out=True)
    assert failed(ran) == set(fates(ran)) == {name}
    (point,) = explored(ran)["points"]
    assert (ran.directory / "events" / f"{point['trial']}.ledger.jsonl").exists()
    again = jobproof("check", str(ran.directory))
    assert again.code == 1
    assert name in again.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--job", "send_invoice_emial"), "did you mean 'send_invoice_email'?"),
        (("--job", "sync_customer", "--targets", "childs"), "expected some of child, main, group"),
        (("--job", "sync_customer", "--budget", "soon"), "is not a time"),
        (("--job", "sync_customer", "--bug", "no-such"), "no bug is called"),
        (("--job", "sync_customer", "--only", "ack #1 after mian"), "did you mean 'ack #1 after main'?"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(words: tuple[str, ...], told: str, jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", *words, out=True)
    assert ran.code == 2
    assert told in ran.err.strip().splitlines()[-1]


def test_redelivery_that_is_left_to_celery_is_waited_for_no_longer_than_the_budget(jobproof: JobproofCommand) -> None:
    only = ("--only", "POST /told/first #1 after child", "--only", "POST /told/first #1 after main")
    ran = jobproof("explore", HARD, "--job", "twice", *only, "--real-redelivery", "--budget", "6s", out=True)
    # A dead child's message comes back at once; a dead main process's after an hour, as Celery has it by default.
    assert fates(ran) == {only[1]: "held", only[3]: "unknown"}
    assert ran.code == 3


def test_a_result_that_is_kept_is_a_boundary_of_its_own(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "thrice", "--targets", "group", out=True, HARD_KEEPS_RESULTS="1")
    names = [boundary["name"] for boundary in explored(ran)["clean"]["boundaries"]]
    sent = [f"POST /told/{part} #1" for part in ("first", "second", "third")]
    assert names == ["reserve #1", *sent, "result #1", "ack #1"]
    assert set(fates(ran).values()) == {"held"}


def test_what_changes_in_the_contracts_folders_is_a_boundary(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "publishes", "--targets", "child", out=True)
    names = [boundary["name"] for boundary in explored(ran)["clean"]["boundaries"]]
    assert names[1:-1] == [
        "WRITE shelf/part #1",
        "FSYNC shelf/part #1",
        "RENAME shelf/report-8.csv #1",
        "POST /told #1",
    ]
    assert set(fates(ran).values()) == {"held"}


def test_commits_to_a_postgresql_of_the_contract_are_boundaries_with_what_they_make_true(
    jobproof: JobproofCommand,
) -> None:
    server = sa.make_url(postgresql_url()).set(database="DATABASE").render_as_string(hide_password=False)
    contract = str(ROOT / "tests" / "subjects" / "reference_on_postgresql" / "contract.py")
    ran = jobproof(
        "explore", contract, "--job", "charge_invoice", "--budget", "180s", out=True, POSTGRESQL_SERVER=server
    )
    names = [boundary["name"] for boundary in explored(ran)["clean"]["boundaries"]]
    assert "COMMIT (UPDATE invoices + INSERT outbox) #1" in names, names
    assert set(fates(ran).values()) == {"held"}, ran.out
    assert len(fates(ran)) == 27


# --- jobs that are hard to explore ---


def test_strictly_what_the_broker_loses_is_a_failure(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "twice", "--targets", "main", "--sides", "before", "--strict", out=True)
    assert ran.code == 1
    assert set(fates(ran).values()) == {"held"}


def test_a_job_whose_sending_is_done_by_a_process_of_its_own_is_explored(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "forks", out=True)
    # The job does not look at how its helper ended.
    assert failed(ran) == {"POST /told #1 before child"}
    assert set(fates(ran).values()) == {"held", "violated"}


def test_a_job_that_never_ends_is_unknown_within_the_budget(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "endless", "--budget", "4s", out=True)
    assert ran.code == 3
    assert explored(ran)["seconds_exploring"] < 10
    assert "never drained" in explored(ran)["clean"]["because"]


def test_a_job_without_any_effect_does_not_even_hold_without_a_crash(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "silent", out=True)
    assert ran.code == 1
    assert explored(ran)["points"] == []
    assert "no effect at all" in explored(ran)["clean"]["because"]


def test_what_is_not_the_same_in_each_run_is_told_and_not_tried(jobproof: JobproofCommand, tmp_path: Path) -> None:
    ran = jobproof("explore", HARD, "--job", "fickle", out=True, HARD_COUNT=str(tmp_path / "count"))
    clean = explored(ran)["clean"]
    assert ran.code != 0
    assert len(clean["unstable"]) == clean["runs"] == 3
    assert [boundary["name"] for boundary in clean["boundaries"]] == ["reserve #1", "ack #1"]


def test_a_budget_that_is_used_up_leaves_the_rest_unknown(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", HARD, "--job", "twice", "--budget", "1s", "--lanes", "1", out=True)
    assert ran.code == 3
    assert "unknown" in fates(ran).values()
    assert "budget of 1 s" in ran.out


@pytest.fixture
def encrypted_peer(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A server that takes whatever comes through TLS and answers; where to find it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    files = ["-keyout", "key", "-out", "certificate"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", *files]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return  # it has been closed: the test is over
            with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as link:
                link.recv(4096)
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield {
        "HARD_TLS_PORT": str(listener.getsockname()[1]),
        "HARD_CERTIFICATE": str(tmp_path / "certificate"),
    }
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_what_goes_through_pythons_own_tls_is_a_boundary_with_its_name(
    jobproof: JobproofCommand, encrypted_peer: dict[str, str]
) -> None:
    ran = jobproof("explore", HARD, "--job", "encrypted", "--targets", "child", out=True, **encrypted_peer)
    assert ran.code == 0, ran.out
    names = [boundary["name"] for boundary in explored(ran)["clean"]["boundaries"]]
    assert names == ["reserve #1", "PUT /secret #1", "POST /told #1", "ack #1"]
