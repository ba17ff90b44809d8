"""The parts that keep dead letters, each by itself."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import wait_until
from reference_worker.database import Database
from reference_worker.dead_letters.alert import Alert
from reference_worker.dead_letters.letter import DeadLetter, of_raw_item
from reference_worker.dead_letters.spool import Spool
from reference_worker.dead_letters.table import Table

LETTER = of_raw_item(b"\x00\xff", queue="billing", reason="no envelope")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    made = Table(Database(f"sqlite:///{tmp_path}/letters.db").engine)
    made.create()
    return made


def test_a_second_letter_for_a_message_changes_nothing(table: Table) -> None:
    table.add(LETTER)
    table.add(replace(LETTER, reason="another", body=b""))
    assert table.all() == [LETTER]


def test_a_letter_that_comes_again_after_its_replay_is_news_and_one_from_before_it_is_not(table: Table) -> None:
    table.add(LETTER)
    table.mark_replayed(LETTER.message_id)
    table.add(replace(LETTER, reason="late"))
    assert table.all()[0].replayed_at
    again = replace(LETTER, reason="again", last_given_up_at=datetime.now(UTC), first_given_up_at=datetime.now(UTC))
    table.add(again)
    assert table.all() == [replace(again, first_given_up_at=LETTER.first_given_up_at)]


def test_a_letter_comes_out_of_the_spool_as_it_went_in(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool")
    spool.add(LETTER)
    spool.add(LETTER)
    seen: list[DeadLetter] = []
    assert spool.flush(seen.append) == 2
    assert seen == [LETTER, LETTER]
    assert spool.flush(seen.append) == 0


def test_a_letter_stays_in_the_spool_until_it_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(LETTER)

    def refuse(_letter: DeadLetter) -> None:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        spool.flush(refuse)
    assert spool.flush(lambda _letter: None) == 1


def test_two_workers_that_empty_one_spool_at_once_write_each_letter_once(tmp_path: Path, table: Table) -> None:
    letters = [of_raw_item(str(number).encode(), queue="q", reason="r") for number in range(20)]
    for letter in letters:
        Spool(tmp_path / "spool").add(letter)
    workers = [threading.Thread(target=Spool(tmp_path / "spool").flush, args=(table.add,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert sorted(letter.message_id for letter in table.all()) == sorted(letter.message_id for letter in letters)


def test_what_is_no_letter_stays_in_the_spool_and_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text("{")
    spool = Spool(tmp_path)
    spool.add(LETTER)
    assert spool.flush(lambda _letter: None) == 1
    assert (tmp_path / "0.json").exists()


def test_an_alert_is_posted_once_when_it_begins_and_once_when_it_is_over() -> None:
    with webhook() as (url, posted):
        alert = Alert(url)
        alert.fire("nowhere")
        alert.fire("nowhere")
        wait_until(lambda: len(posted) == 1, within=5, or_else="the alert was not posted")
        alert.clear("again")
        alert.clear("again")
        wait_until(lambda: len(posted) == 2, within=5, or_else="its end was not posted")
    assert [each["status"] for each in posted] == ["firing", "resolved"]
    assert posted[0]["alerts"][0]["labels"]["alertname"] == "DeadLettersUnwritable"


def test_an_alert_that_the_webhook_did_not_take_is_posted_again_and_before_its_end() -> None:
    with webhook(refused=2) as (url, posted):
        alert = Alert(url)
        alert.fire("nowhere")
        alert.clear("again")
        wait_until(lambda: len(posted) == 4, within=10, or_else="the alert and its end were not posted")
    assert [each["status"] for each in posted] == ["firing", "firing", "firing", "resolved"]


@contextmanager
def webhook(*, refused: int = 0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if len(posted) <= refused else 200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join(5)
