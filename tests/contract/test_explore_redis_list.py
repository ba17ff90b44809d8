"""Workers that are not Python are killed at each boundary of a job in a Redis list; what they survive is told."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.boundaries import user_notify
from tests.conftest import ROOT, JobproofCommand, Ran
from tests.contract.test_explore import explored, failed, fates

pytestmark = pytest.mark.skipif(bool(user_notify.available()), reason=user_notify.available())

SUBJECTS = ROOT / "tests" / "subjects"
NAIVE, RELIABLE, GIVEN = (
    str(SUBJECTS / "shell_worker" / f"{name}_contract.py") for name in ("naive", "reliable", "given")
)
EXPLORE = ("--job", "email", "--budget", "120s")
BEFORE, AFTER = "POST /v1/emails #1 before", "POST /v1/emails #1 after"
SPEAKING = f"source {SUBJECTS / 'shell_worker' / 'speaking.bash'}; connect_broker; "
ONE_JOB = """
job=$reply
to=$(field to "$job")
post_email "{\\"to\\": \\"$to\\"}" "email-$to" && redis LREM own 1 "$job"
"""


def ack(own: str) -> str:
    return f"ack (LREM {own}) #1"


def given(jobproof: JobproofCommand, *command: str, words: tuple[str, ...] = EXPLORE, **environment: str) -> Ran:
    """A worker that is started by the command, and is to keep what the reliable one promises."""
    return jobproof("explore", GIVEN, *words, out=True, WORKER_COMMAND=shlex.join(command), **environment)


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A file for a shell's commands."""
    return tmp_path / "worker.bash"


# --- in the shell ---


def test_a_naive_worker_loses_its_job_between_taking_it_and_its_request_and_nowhere_else(
    jobproof: JobproofCommand,
) -> None:
    ran = jobproof("explore", NAIVE, *EXPLORE, out=True)
    assert ran.code == 1
    lost = {f"{BEFORE} main", f"{BEFORE} group"}
    assert fates(ran) == {
        **dict.fromkeys(lost, "violated"),
        **dict.fromkeys([f"{AFTER} main", f"{AFTER} group"], "held"),
    }
    for point in explored(ran)["points"]:
        assert not point["of_the_broker"]  # it could have moved the message instead of taking it for good
        if point["name"] in lost:
            assert point["failed"] == point["tried"] == 2
            assert "nothing-lost" in {each["guarantee"] for each in point["guarantees"] if each["status"] == "violated"}
            assert "BLMOVE" in point["story"][-1]
    assert "2 of 4 crash points survived" in ran.out


def test_a_reliable_worker_survives_every_crash_and_the_same_points_come_again(
    jobproof: JobproofCommand, tmp_path: Path
) -> None:
    told = []
    for lanes in ("1", "2"):
        ran = jobproof("explore", RELIABLE, *EXPLORE, "--lanes", lanes, out=True)
        assert ran.code == 0, ran.out
        told.append(fates(ran))
        shutil.move(ran.directory, tmp_path / lanes)
    assert told[0] == told[1]
    points = (BEFORE, AFTER, f"{ack('own:one')} after")  # before the ack is the same as after the request
    assert told[0] == {f"{point} {target}": "held" for point in points for target in ("main", "group")}


def test_one_crash_is_repeated_by_its_name(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", NAIVE, "--job", "email", "--only", f"{BEFORE} main", out=True)
    assert failed(ran) == set(fates(ran)) == {f"{BEFORE} main"}
    assert jobproof("check", str(ran.directory)).code == 1


def test_of_a_worker_that_polls_and_lets_another_process_send_the_sender_is_the_child(
    jobproof: JobproofCommand,
) -> None:
    ran = given(jobproof, "bash", "polling.bash", "emails", "own:polling")
    assert ran.code == 0, ran.out
    sent = {f"child: {point} {target}" for point in (BEFORE, AFTER) for target in ("child", "main", "group")}
    removed = {f"{ack('own:polling')} {side} {target}" for side in ("before", "after") for target in ("main", "group")}
    assert set(fates(ran)) == sent | removed  # and no time that it asked in vain


def test_a_list_that_is_named_after_the_process_is_the_same_boundary_in_each_run(
    jobproof: JobproofCommand, shell: Path
) -> None:
    asking = "while redis BLMOVE emails own:$$ RIGHT LEFT 5; do [[ -n $reply ]] || continue"
    shell.write_text(f"{SPEAKING}{asking}{ONE_JOB.replace('own', 'own:$$')}done")
    words = (*EXPLORE, "--sides", "after", "--targets", "main")
    ran = given(jobproof, "bash", str(shell), words=words, WORKER_WAIT_SECONDS="4")
    assert set(fates(ran)) == {f"{AFTER} main", f"{ack('own:{pid}')} after main"}
    assert explored(ran)["clean"]["unstable"] == []


def test_a_worker_that_does_one_job_and_ends_is_started_again(jobproof: JobproofCommand, shell: Path) -> None:
    shell.write_text(f"{SPEAKING}redis LMOVE own emails LEFT LEFT; redis BLMOVE emails own RIGHT LEFT 0{ONE_JOB}")
    ran = given(jobproof, "bash", str(shell))
    assert ran.code == 0, ran.out
    assert len(fates(ran)) == 6


def test_what_was_moved_to_a_list_from_which_nobody_fetches_it_is_lost_once_the_job_may_not_wait_any_longer(
    jobproof: JobproofCommand, shell: Path
) -> None:
    shell.write_text(
        f"{SPEAKING}while redis BLMOVE emails own RIGHT LEFT 5; do [[ -n $reply ]] || continue{ONE_JOB}done"
    )
    only = ("--only", f"{BEFORE} main")
    ran = given(jobproof, "bash", str(shell), words=(*EXPLORE, *only), WORKER_WAIT_SECONDS="4")
    assert failed(ran) == {f"{BEFORE} main"}, ran.out


def test_what_outlives_a_dead_main_process_is_told_and_ended(jobproof: JobproofCommand) -> None:
    only = ("--only", f"{AFTER} main", "--only", f"{AFTER} group")
    ran = given(jobproof, "bash", "-c", "sleep 1000 & exec bash reliable.bash emails own", words=(*EXPLORE, *only))
    assert failed(ran) == {f"{AFTER} main"}
    assert "no-orphans: left behind: the process" in ran.out
    assert "sleep 1000" in ran.out


# --- compiled ---


@pytest.mark.parametrize(
    ("compiler", "source", "points"),
    [
        (("cc", "-o"), "reliable.c", (BEFORE, AFTER, f"{ack('own')} after")),
        # What its other threads did in between is not known, so no two states are the same.
        (("go", "build", "-o"), "reliable.go", (BEFORE, AFTER, f"{ack('own')} before", f"{ack('own')} after")),
    ],
    ids=["c", "go"],
)
def test_a_compiled_worker_survives_every_crash(
    compiler: tuple[str, ...], source: str, points: tuple[str, ...], jobproof: JobproofCommand, tmp_path: Path
) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"there is no {compiler[0]}")
    program = str(tmp_path / "reliable")
    subprocess.run([*compiler, program, str(SUBJECTS / "compiled_workers" / source)], check=True)
    ran = given(jobproof, program, "emails", "own")
    assert ran.code == 0, ran.out
    assert fates(ran) == {f"{point} {target}": "held" for point in points for target in ("main", "group")}


# --- what is not seen, and what cannot be tried ---


def test_what_cannot_be_seen_or_judged_without_a_probe_is_in_every_report(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", RELIABLE, *EXPLORE, "--sides", "before", out=True)
    assert any("no probe" in each for each in explored(ran)["cannot_see"])
    assert [each["name"] for each in explored(ran)["not_covered"]] == ["attempts-bounded"]
    judged = {each["guarantee"] for point in explored(ran)["points"] for each in point["guarantees"]}
    assert "attempts-bounded" not in judged
    assert "nothing-lost" in judged
    reports = [ran.out, *((ran.directory / name).read_text() for name in ("report.html", "report.md"))]
    assert all("not covered: attempts-bounded: cannot be judged" in report for report in reports)
    assert all("there is no probe in the worker" in report for report in reports)
    assert not any("Celery" in report for report in reports)


def test_where_sends_cannot_be_seen_the_played_downstream_stops_the_worker(jobproof: JobproofCommand) -> None:
    ran = jobproof("explore", NAIVE, *EXPLORE, out=True, JOBPROOF_INTERCEPTION="proxy")
    assert failed(ran) == {f"{BEFORE} main", f"{BEFORE} group"}
    assert len(fates(ran)) == 4


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        ("echo no configuration; exit 3", "ended with exit 3 before it was ready: no configuration"),
        ("exec ./no-such-program", "before it was ready"),
    ],
)
def test_a_worker_that_ends_at_once_is_told_in_one_line(
    commands: str, told: str, jobproof: JobproofCommand, shell: Path
) -> None:
    shell.write_text(commands)
    ran = given(jobproof, "bash", str(shell))
    assert ran.code == 2
    assert told in ran.err.strip().splitlines()[-1]


def test_a_program_that_is_not_there_is_told_in_one_line(jobproof: JobproofCommand) -> None:
    ran = given(jobproof, "./no-such-program")
    assert ran.code == 2
    assert "./no-such-program: No such file or directory" in ran.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("commands", "code", "told"),
    [
        ("while redis BRPOP emails 1; do :; done", 1, "no effect at all"),
        ("redis BRPOP emails 60; exec sleep 1000", 3, "never drained"),
        ("redis BRPOP emails 60; exit 1", 1, "no effect at all"),
    ],
    ids=["sends-nothing", "never-ends", "ends-itself"],
)
def test_a_job_that_does_not_even_hold_without_a_crash_is_told_within_the_budget(
    commands: str, code: int, told: str, jobproof: JobproofCommand, shell: Path
) -> None:
    shell.write_text(SPEAKING + commands)
    ran = given(jobproof, "bash", str(shell), words=("--job", "email", "--budget", "5s"))
    assert ran.code == code, ran.out + ran.err
    assert told in explored(ran)["clean"]["because"]
    assert explored(ran)["points"] == []
