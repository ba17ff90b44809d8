"""Where the letter cannot be written, or the worker dies over it: nothing is lost, nothing is told twice."""

import signal
from pathlib import Path

import pytest

from harness.waiting import wait_until
from tests.reference_worker.dead_letter_scene import QUEUE, SECONDS, Scene, envelope, scene


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_while_the_table_is_away_letters_wait_in_the_spool_and_are_moved_when_it_is_back(
    tmp_path: Path, pool: str
) -> None:
    with scene(tmp_path) as stage, stage.worker(pool=pool):
        stage.do_a_good_job()
        with stage.table_hidden():
            stage.push(envelope("letters.fail", ["no"], message_id="m1"))
            stage.push(b"no envelope")
            wait_until(lambda: len(files(stage)) == 2, within=SECONDS, or_else="the letters are not in the spool")
            stage.drained()  # so they were acknowledged
            stage.do_a_good_job()
        assert stage.letter("m1").reason == "RuntimeError: no"
        wait_until(lambda: not files(stage), within=SECONDS, or_else="the spool was not emptied")
        assert len(stage.letters()) == 2


def test_what_can_be_written_nowhere_stays_unacknowledged_until_it_can(tmp_path: Path) -> None:
    with scene(tmp_path) as stage, stage.worker() as process:
        stage.do_a_good_job()
        stage.spool.write_text("a file where the directory should be")
        with stage.table_hidden():
            stage.push(envelope("letters.fail", ["no"], message_id="m1"))
            stage.push(envelope("letters.nothing", message_id="m2"))
            stage.push(b"no envelope")
            wait_until(
                lambda: stage.log().count("cannot be written") > 6,
                within=SECONDS,
                or_else="it was not tried again",
            )
            assert stage.broker.hlen("unacked") == 2
            assert stage.log().count("dead letters can be written neither") == 1  # one alert
            stage.do_a_good_job()
        assert stage.letter("m1").body
        assert stage.letter("m2").body
        stage.drained()
        assert len(stage.letters()) == 3
        assert process.poll() is None


def test_what_is_only_in_memory_goes_back_to_its_queue_when_the_worker_is_told_to_end(tmp_path: Path) -> None:
    with scene(tmp_path) as stage:
        stage.spool.write_text("a file where the directory should be")
        with stage.table_hidden():
            with stage.worker() as process:
                stage.do_a_good_job()
                stage.push(envelope("letters.nothing", message_id="m1"))
                wait_until(lambda: "neither" in stage.log(), within=SECONDS, or_else="it was written after all")
                process.send_signal(signal.SIGTERM)
                process.wait(SECONDS)
            assert stage.broker.llen(QUEUE) == 1
        with stage.worker():
            assert stage.letter("m1").reason.startswith("NotRegistered")
            stage.drained()


@pytest.mark.parametrize(
    "item",
    [envelope("letters.fail", ["no"]), envelope("letters.nothing"), b"no envelope"],
    ids=["job", "message", "raw"],
)
@pytest.mark.parametrize("when", ["before the letter", "after the letter"])
def test_a_worker_killed_before_the_acknowledgement_leaves_one_letter(
    tmp_path: Path, item: bytes | dict[str, object], when: str
) -> None:
    with scene(tmp_path) as stage:
        stage.push(item)
        with stage.worker(DIE=when) as process:
            process.wait(SECONDS)
        assert stage.left()
        with stage.worker(VISIBILITY_SECONDS="1"):
            stage.do_a_good_job()
            stage.drained()
        assert len(stage.letters()) == 1


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_job_that_lost_its_worker_too_often_is_given_up_before_it_runs(tmp_path: Path, pool: str) -> None:
    with scene(tmp_path) as stage, stage.worker(pool=pool):
        stage.push(envelope("letters.counted", ["killer"], message_id="m1"))
        assert stage.letter("m1").reason == "WorkerLostError: its worker died 3 times"
        stage.push(envelope("letters.counted", ["database away"]))  # it is let through, and so is what has no identity
        stage.push(envelope("letters.counted", [], message_id="m2"))
        assert stage.letter("m2").reason.startswith("TypeError")
        stage.do_a_good_job()
        stage.drained()
        assert {path.name for path in (tmp_path / "done").iterdir()} >= {"closed killer", "database away"}
        assert not (tmp_path / "done" / "killer").exists()
        assert len(stage.letters()) == 2


def files(stage: Scene) -> list[Path]:
    return list(stage.spool.glob("*")) if stage.spool.is_dir() else []
