"""Each planted bug loses what its story says, where the worker without it loses nothing."""

from pathlib import Path

import pytest

from tests.reference_worker.dead_letter_scene import SECONDS, envelope, scene


def test_discards_swallowed_throws_away_what_is_no_job(tmp_path: Path) -> None:
    with scene(tmp_path) as stage, stage.worker(REFERENCE_WORKER_BUG="discards-swallowed"):
        stage.push(envelope("letters.nothing"))
        stage.do_a_good_job()
        stage.drained()
        assert stage.letters() == []


def test_dead_letter_after_ack_loses_it_to_a_crash_in_between(tmp_path: Path) -> None:
    with scene(tmp_path) as stage:
        stage.push(envelope("letters.fail", ["no"]))
        with stage.worker(REFERENCE_WORKER_BUG="dead-letter-after-ack", DIE="before the letter") as process:
            process.wait(SECONDS)
        with stage.worker(VISIBILITY_SECONDS="1"):
            stage.do_a_good_job()
            stage.drained()
        assert stage.letters() == []


def test_no_spool_loses_it_while_the_table_is_away(tmp_path: Path) -> None:
    with scene(tmp_path) as stage, stage.worker(REFERENCE_WORKER_BUG="no-spool"):
        with stage.table_hidden():
            stage.push(envelope("letters.fail", ["no"]))
            stage.do_a_good_job()
            stage.drained()
        stage.do_a_good_job()
        assert stage.letters() == []


def test_dead_letter_without_payload_keeps_nothing_to_act_on(tmp_path: Path) -> None:
    with scene(tmp_path) as stage, stage.worker(REFERENCE_WORKER_BUG="dead-letter-without-payload"):
        stage.push(envelope("letters.fail", ["no"], message_id="m1"))
        assert stage.letter("m1").body == b""


@pytest.mark.parametrize("bug", ["no-spool", "dead-letter-after-ack"])
def test_such_a_bug_does_not_show_while_nothing_fails(tmp_path: Path, bug: str) -> None:
    with scene(tmp_path) as stage, stage.worker(REFERENCE_WORKER_BUG=bug):
        stage.push(envelope("letters.fail", ["no"], message_id="m1"))
        assert stage.letter("m1").body
