import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from reference_worker.database import Database, metadata
from reference_worker.deliveries import Deliveries
from tests.conftest import ROOT

JOB = "reference_worker.charge_invoice(invoice_id='inv-1')"
BODY = """
import os, signal, sys
from reference_worker.database import Database
from reference_worker.deliveries import Deliveries
deliveries = Deliveries(Database(sys.argv[1]))
deliveries.node = "worker@host/this-life"
deliveries.begin(sys.argv[2], message_id="m1", hard_limit_seconds=60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def begin_and_be_killed(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BODY, database_url, JOB],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.usefixtures("database")
def test_a_body_that_is_killed_leaves_its_count(database_url: str, deliveries: Deliveries) -> None:
    for losses in (1, 2, 3):
        begin_and_be_killed(database_url)
        assert deliveries.losses(JOB) == losses


@pytest.mark.usefixtures("database")
def test_a_deploy_gives_back_what_runs_and_not_what_died_on_the_same_node(
    database_url: str, deliveries: Deliveries
) -> None:
    deliveries.node = "worker@host/this-life"
    for _ in range(2):
        begin_and_be_killed(database_url)
    deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    deliveries.give_back()
    assert deliveries.losses(JOB) == 2


def test_a_controlled_end_takes_the_count_back(deliveries: Deliveries) -> None:
    delivery = deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    assert deliveries.losses(JOB) == 1
    deliveries.end(delivery)
    deliveries.end(delivery)
    assert deliveries.losses(JOB) == 0


def test_two_messages_of_one_job_at_the_same_time_count_right(deliveries: Deliveries) -> None:
    first = deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    deliveries.begin(JOB, message_id="m2", hard_limit_seconds=60)  # and this one dies
    deliveries.end(first)
    assert deliveries.losses(JOB) == 1
    assert deliveries.losses("another job") == 0


def test_a_body_of_another_message_is_only_missed_when_its_hard_limit_has_passed(deliveries: Deliveries) -> None:
    deliveries.begin(JOB, message_id="running", hard_limit_seconds=60)
    deliveries.begin(JOB, message_id="long dead", hard_limit_seconds=-1)
    assert deliveries.losses(JOB, message_id="new") == 1
    assert deliveries.losses(JOB, message_id="running") == 2


def test_a_job_that_is_done_or_given_up_has_its_budget_again(deliveries: Deliveries) -> None:
    for _ in range(3):
        deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    deliveries.close(JOB)
    assert deliveries.losses(JOB) == 0


def test_a_deploy_burns_nothing_and_takes_nothing_back_twice(database: Database, deliveries: Deliveries) -> None:
    before = Deliveries(database)
    before.node = "worker@host/first-life"
    before.begin(JOB, message_id="m1", hard_limit_seconds=60)  # died, in the life before
    deliveries.node = "worker@host/second-life"
    running = deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    deliveries.give_back()
    assert deliveries.losses(JOB) == 1
    deliveries.end(running)
    assert deliveries.losses(JOB) == 1


def test_a_body_is_current_until_its_message_is_begun_again_or_its_job_has_ended(
    database: Database, deliveries: Deliveries
) -> None:
    here, elsewhere = os.getpid(), Deliveries(database)
    elsewhere.node = "another@host"
    assert not deliveries.is_current("m1", process_id=here)
    deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    assert deliveries.is_current("m1", process_id=here)
    assert not deliveries.is_current("m1", process_id=None)
    assert not deliveries.is_current("m2", process_id=here)
    assert not elsewhere.is_current("m1", process_id=here)

    again = elsewhere.begin(JOB, message_id="m1", hard_limit_seconds=60)
    assert not deliveries.is_current("m1", process_id=here)
    assert elsewhere.is_current("m1", process_id=here)
    elsewhere.end(again)
    assert not deliveries.is_current("m1", process_id=here)  # it answers for the job no more
    assert deliveries.losses(JOB, message_id="m1") == 1

    deliveries.begin("another job", message_id="m2", hard_limit_seconds=60)
    deliveries.close("another job")
    assert not deliveries.is_current("m2", process_id=here)


def test_with_the_database_down_no_body_begins(database: Database, deliveries: Deliveries) -> None:
    metadata.drop_all(database.engine)
    with pytest.raises(sa.exc.DBAPIError):
        deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)


def test_an_end_that_cannot_be_saved_is_saved_with_the_next_body(database: Database, deliveries: Deliveries) -> None:
    delivery = deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    with database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE deliveries RENAME TO hidden"))
    deliveries.end(delivery)
    with database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE hidden RENAME TO deliveries"))
    assert deliveries.losses(JOB) == 1
    other = deliveries.begin("another job", message_id="m2", hard_limit_seconds=60)
    assert deliveries.losses(JOB) == 0
    deliveries.end(other)


def test_begin_says_when_the_body_must_be_over(database: Database, deliveries: Deliveries) -> None:
    deliveries.begin(JOB, message_id="m1", hard_limit_seconds=60)
    with database.reading() as connection:
        until = connection.scalar(sa.text("SELECT runs_until FROM deliveries"))
    assert 50 < until - time.time() <= 60


@pytest.mark.parametrize("message_id", ["\x00", "\ud800", "x" * 100_000, "'; DROP TABLE deliveries"])
def test_any_message_id_can_be_counted(deliveries: Deliveries, message_id: str) -> None:
    deliveries.begin(JOB, message_id=message_id, hard_limit_seconds=60)
    assert deliveries.losses(JOB, message_id=message_id) == 1
    assert deliveries.losses(JOB, message_id="another") == 0
