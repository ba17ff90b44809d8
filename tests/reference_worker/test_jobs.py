"""The five jobs in real workers, with a real broker and both databases."""

import os
import signal

import pytest
import sqlalchemy as sa

from reference_worker.database import Database
from reference_worker.records import customers, exports, invoices, users
from tests.reference_worker.conftest import World

QUEUES = ("notifications", "billing", "sync", "exports")


def is_done(database: Database) -> bool:
    user, invoice = users.find(database, "user-1"), invoices.find(database, "inv-1")
    customer, export = customers.find(database, "cust-1"), exports.find(database, "exp-1")
    return bool(
        user
        and user.is_verification_sent
        and invoice
        and invoice.is_email_sent
        and invoice.is_paid
        and customer
        and customer.synced_version == 3
        and export
        and export.is_done
    )


def is_exported(database: Database) -> bool:
    export = exports.find(database, "exp-1")
    return export is not None and export.is_done


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_each_job_does_its_work_once_although_it_is_submitted_twice(world: World) -> None:
    world.start_worker("all", *QUEUES)
    for _ in range(2):
        world.submit("send_verification_email", queue="notifications", user_id="user-1")
        world.submit("send_invoice_email", queue="notifications", invoice_id="inv-1")
        world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
        world.submit("sync_customer", queue="sync", customer_id="cust-1")
        world.submit("generate_export", queue="exports", export_id="exp-1")

    world.wait(lambda: world.log("all").count(" succeeded in ") == 10, "the jobs were not all done")
    assert is_done(world.database)

    applied = sorted(f"{each.method} {each.path}" for each in world.downstream.applied)
    assert applied == [
        "POST /v1/charges",
        "POST /v1/emails",
        "POST /v1/events",
        "PUT /v1/customers/cust-1",
        "PUT /v1/exports/exp-1",
    ]
    assert {mail.rcpt_tos[0] for mail in world.mail_server.mails} == {"user-1@customers.example"}
    content = world.mail_server.mails[0].content
    assert b"Message-ID: <verification.user-1@reference-worker.example>" in content
    assert b"X-Entity-Ref-ID: user-1" in content
    (event,) = [each for each in world.downstream.applied if each.path == "/v1/events"]
    assert event.body["data"] == {"invoice_id": "inv-1", "amount_cents": 1990}
    (export,) = [each for each in world.downstream.applied if each.method == "PUT" and "exports" in each.path]
    assert export.body["export_id"] == "exp-1"
    assert len(export.body["rows"]) == 50
    assert rows(world.database, "SELECT * FROM deliveries") == []
    assert rows(world.database, "SELECT * FROM dead_letters") == []
    assert list((world.directory / "scratch").iterdir()) == []


def test_a_crash_between_the_payment_and_its_event_brings_the_event(world: World) -> None:
    worker = world.start_worker("first", "billing")
    world.downstream.hold = "POST /v1/events"
    world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    world.wait(world.downstream.holding.is_set, "the event was not sent")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert rows(world.database, "SELECT payment_state FROM invoices") == [("paid",)]
    world.downstream.let_go.set()

    world.start_worker("second", "billing")
    assert world.redeliver() == 1
    world.wait(
        lambda: rows(world.database, "SELECT event_id FROM outbox WHERE sent_at IS NOT NULL"), "the event was not sent"
    )

    assert world.downstream.count("POST /v1/charges") == 1
    assert world.downstream.count("POST /v1/events") == 1


def test_an_export_whose_worker_was_killed_is_taken_over_and_its_late_upload_is_fenced_off(world: World) -> None:
    worker = world.start_worker("first", "exports")
    world.downstream.hold = "PUT /v1/exports"
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(world.downstream.holding.is_set, "the file was not uploaded")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()

    world.start_worker("second", "exports")
    assert world.redeliver() == 1
    world.wait(lambda: is_exported(world.database), "the export was not finished")
    world.downstream.let_go.set()  # now the first upload comes through
    world.wait(lambda: 412 in [each.status for each in world.downstream.received], "nothing was fenced off")

    assert world.downstream.count("PUT /v1/exports/exp-1") == 1
    assert list((world.directory / "scratch").iterdir()) == []


def test_who_was_frozen_and_wakes_up_is_fenced_off_and_ends_quietly(world: World) -> None:
    # With its only slot taken it asks the broker for nothing: a frozen worker would swallow what it had asked for.
    first = world.start_worker("first", "exports", concurrency=1, client_timeout_seconds="60")
    world.downstream.hold = "HEAD /v1/exports"
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(world.downstream.holding.is_set, "the storage was not asked")
    os.killpg(first.pid, signal.SIGSTOP)
    world.start_worker("second", "exports")
    assert world.redeliver() == 1
    world.wait(lambda: world.downstream.count("PUT /v1/exports/exp-1"), "the export was not taken over")
    world.downstream.let_go.set()
    os.killpg(first.pid, signal.SIGCONT)

    world.wait(lambda: "somebody else does exp-1 now" in world.log("first"), "the first was not fenced off")

    assert world.downstream.count("PUT /v1/exports/exp-1") == 1
    assert rows(world.database, "SELECT * FROM dead_letters") == []


def test_a_busy_claim_postpones_another_message_without_using_up_its_retries(world: World) -> None:
    world.start_worker("exporter", "exports", retries_max="0")
    world.downstream.hold = "PUT /v1/exports"
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(world.downstream.holding.is_set, "the file was not uploaded")
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(lambda: world.log("exporter").count("postponed by 0.2 s") >= 3, "the second was not postponed")
    world.downstream.let_go.set()

    world.wait(lambda: world.log("exporter").count(" succeeded in ") == 2, "the second message never ended")

    assert world.downstream.count("PUT /v1/exports/exp-1") == 1
    assert rows(world.database, "SELECT * FROM dead_letters") == []
    assert rows(world.database, "SELECT * FROM deliveries") == []


def test_what_fails_for_a_while_is_tried_again_and_what_is_refused_is_not(world: World) -> None:
    world.start_worker("sync", "sync", "billing")
    world.downstream.answers.extend([500, 503, 429])
    world.submit("sync_customer", queue="sync", customer_id="cust-1")
    world.wait(lambda: " succeeded in " in world.log("sync"), "the customer was not synced")
    assert len(world.downstream.received) == 4

    world.downstream.answers.extend([422])
    message = world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    world.wait(lambda: rows(world.database, "SELECT message_id FROM dead_letters"), "the job was not given up")

    assert len(world.downstream.received) == 5
    assert rows(world.database, "SELECT message_id FROM dead_letters") == [(message,)]


@pytest.mark.parametrize("wrong", [{"x": 1}, ["inv-1"], 7, None, True])
def test_arguments_of_a_wrong_type_are_a_dead_letter_before_anything_is_touched(
    world: World, wrong: object, database_url: str
) -> None:
    if wrong is not None and not database_url.startswith("sqlite"):
        pytest.skip("the types are refused before the database is asked; one of them is enough on the second")
    world.start_worker("billing", "billing")
    message = world.submit("charge_invoice", queue="billing", invoice_id=wrong)
    world.wait(lambda: rows(world.database, "SELECT message_id FROM dead_letters"), "there was no dead letter")
    assert rows(world.database, "SELECT message_id FROM dead_letters") == [(message,)]
    assert world.downstream.received == []


def test_an_exception_that_cannot_be_unpickled_still_ends_as_a_dead_letter(world: World) -> None:
    world.start_worker("exporter", "exports")
    message = world.submit("generate_export", queue="exports", export_id="exp-unknown-format")
    world.wait(lambda: rows(world.database, "SELECT message_id FROM dead_letters"), "there was no dead letter")
    ((found, reason),) = rows(world.database, "SELECT message_id, reason FROM dead_letters")
    assert found == message
    assert "papyrus" in str(reason)
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(lambda: world.downstream.count("PUT /v1/exports/exp-1"), "the worker did not go on")


def test_the_soft_limit_ends_an_attempt_which_is_tried_again(world: World) -> None:
    world.start_worker("billing", "billing", soft_limit_seconds="1", hard_limit_seconds="8", client_timeout_seconds="9")
    world.downstream.hold = "POST /v1/charges"
    world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    world.wait(lambda: " succeeded in " in world.log("billing"), "it was not tried again")
    world.downstream.let_go.set()
    assert rows(world.database, "SELECT * FROM dead_letters") == []
    assert rows(world.database, "SELECT * FROM deliveries") == []


def test_a_database_that_is_down_postpones_and_burns_nothing(world: World) -> None:
    world.start_worker("sync", "sync", retries_max="0")
    with world.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE deliveries RENAME TO hidden"))
    world.submit("sync_customer", queue="sync", customer_id="cust-1")
    world.wait(lambda: world.log("sync").count("postponed by 0.2 s") >= 2, "the job was not postponed")
    with world.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE hidden RENAME TO deliveries"))

    world.wait(lambda: " succeeded in " in world.log("sync"), "the job was not done once the database was back")

    assert world.downstream.count("PUT /v1/customers/cust-1") == 1
    assert rows(world.database, "SELECT * FROM deliveries") == []


def test_a_deploy_that_kills_a_running_body_burns_nothing_and_a_crash_does(world: World) -> None:
    for number, (warned, losses) in enumerate(((True, 0), (False, 1)), start=1):
        worker = world.start_worker(f"w{number}", "billing")
        if number == 1:
            world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
        else:
            world.redeliver()
        world.downstream.holding.clear()
        world.downstream.hold = "POST /v1/charges"
        world.wait(world.downstream.holding.is_set, "the body did not begin")
        world.wait(lambda: rows(world.database, "SELECT identity FROM deliveries"), "the body was not counted")
        if warned:
            worker.send_signal(signal.SIGTERM)
            world.wait(lambda: not rows(world.database, "SELECT 1 FROM deliveries"), "nothing was given back")
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        assert len(rows(world.database, "SELECT identity FROM deliveries")) == losses
