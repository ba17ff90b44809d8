"""What an operator can do about a dead letter."""

import base64
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reference_worker.monitor import stamping
from tests.reference_worker.dead_letter_scene import QUEUE, Scene, envelope, scene


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("command")) as made:
        with made.worker():
            made.push(envelope("letters.fail", ["\x1b[2J"], message_id="m1", headers={"retries": 5, "own": "\u00e9"}))
            made.push(envelope("letters.\x1b]0;owned\x07", message_id="m2"))
            made.push(b"\x1b[2J")
            made.push(envelope("letters.fail", ["again"], message_id="m3", headers={"retries": 5}))
            made.letter("m1")
            made.letter("m2")
            made.letter("m3")
            made.do_a_good_job()
            made.drained()
        yield made


def test_letters_are_listed_without_what_a_terminal_would_obey(stage: Scene) -> None:
    ran = stage.command("dead-letters", "list")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 4
    assert "\x1b" not in ran.stdout
    assert "\\x1b]0;owned\\x07" in ran.stdout
    assert len(json.loads(stage.command("dead-letters", "list", "--format", "json").stdout)) == 4


def test_a_letter_is_shown_with_its_body_and_headers(stage: Scene) -> None:
    ran = stage.command("dead-letters", "show", "m1")
    assert ran.returncode == 0, ran.stderr
    assert "RuntimeError" in ran.stdout
    assert "\x1b" not in ran.stdout
    shown = json.loads(stage.command("dead-letters", "show", "m1", "--format", "json").stdout)
    assert shown["headers"]["retries"] == 5
    assert shown["attempts"] == 6


def test_an_unknown_letter_is_one_line_and_exit_code_2(stage: Scene) -> None:
    for word in ("show", "replay"):
        ran = stage.command("dead-letters", word, "nothing\x1b[2J")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert len(ran.stderr.splitlines()) == 1
        assert "\x1b" not in ran.stderr


def test_what_was_no_message_is_not_replayed(stage: Scene) -> None:
    (raw,) = [letter for letter in stage.letters() if not letter.is_message]
    ran = stage.command("dead-letters", "replay", raw.message_id)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "not an envelope" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_a_message_that_names_a_queue_of_nobodys_is_not_replayed_and_the_others_are(
    stage: Scene, tmp_path: Path
) -> None:
    with scene(tmp_path) as made:
        made.table.add(replace(stage.letter("m1"), message_id="forged", queue="somebody-elses"))
        made.table.add(replace(stage.letter("m1"), message_id="honest"))
        ran = made.command("dead-letters", "replay", "--all")
        assert ran.returncode == 1
        assert ran.stdout == "honest: published to sync, retries reset to 0\n"
        assert ran.stderr == (
            "forged: not replayed: it says that it is for the queue 'somebody-elses', "
            "and there are: billing, exports, notifications, sync\n"
        )
        assert made.broker.keys() == [QUEUE.encode()]
        assert made.letter("forged").replayed_at is None


def test_a_replayed_message_is_the_one_that_was_delivered_with_its_retries_back(stage: Scene) -> None:
    before = stage.letter("m3")
    ran = stage.command("dead-letters", "replay", "m3")
    assert ran.returncode == 0, ran.stderr
    assert "retries reset to 0" in ran.stdout
    assert stage.letter("m3").replayed_at
    (item,) = stage.broker.lrange(QUEUE, 0, -1)
    headers = json.loads(item)["headers"]
    assert 0 <= time.time() - headers.pop(stamping.HEADER) < 60  # it waits anew
    assert headers == {**json.loads(before.headers), "retries": 0}
    with stage.worker():
        stage.do_a_good_job()
        stage.drained()
    after = stage.letter("m3")
    assert after.replayed_at is None  # given up again, and to be seen again
    assert after.body == before.body
    assert after.attempts == 1
    assert after.first_given_up_at == before.first_given_up_at


def test_a_message_that_was_not_inflated_is_replayed_as_it_was_delivered(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(1_000_000))
    with scene(tmp_path) as made:
        with made.worker():
            made.push(envelope("letters.done", message_id="packed", body=packed, headers={"compression": "gzip"}))
            made.letter("packed")
            made.drained()
        ran = made.command("dead-letters", "replay", "packed")
        assert ran.returncode == 0, ran.stderr
        (item,) = made.broker.lrange(QUEUE, 0, -1)
        assert base64.b64decode(json.loads(item)["body"]) == packed
        assert json.loads(item)["headers"]["compression"] == "gzip"


def test_a_broker_that_is_away_is_one_line_and_the_letter_stays_dead(stage: Scene) -> None:
    ran = stage.command("dead-letters", "replay", "m2", REFERENCE_WORKER_BROKER_URL="redis://127.0.0.1:1/0")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "broker cannot be reached" in ran.stderr
    assert stage.letter("m2").replayed_at is None
