"""The five jobs in real workers, with a real broker and both databases."""

import os
import signal
import subprocess

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


def frozen_at_an_export(world: World) -> subprocess.Popen[bytes]:
    """The worker `first`, which stands where it asks the storage."""
    # With its only slot taken it asks the broker for nothing: a frozen worker would swallow what it had asked for.
    first = world.start_worker("first", "exports", concurrency=1, client_timeout_seconds="60")
    world.downstream.hold = "HEAD /v1/exports"
    world.submit("generate_export", queue="exports", export_id="exp-1")
    world.wait(world.downstream.holding.is_set, "the storage was not asked")
    os.killpg(first.pid, signal.SIGSTOP)
    return first


def test_who_was_frozen_and_wakes_up_is_fenced_off_and_ends_quietly(world: World) -> None:
    first = frozen_at_an_export(world)
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


def child_at_work(world: World) -> int:
    """The process that runs the one body that is counted."""
    ((process,),) = rows(world.database, "SELECT process_id FROM deliveries")
    assert isinstance(process, int)
    return process


def test_what_a_deploy_has_given_back_is_not_given_up_when_its_hard_limit_strikes(world: World) -> None:
    worker = world.start_worker("old", "billing", soft_limit_seconds="1", hard_limit_seconds="3")
    world.downstream.hold = "POST /v1/charges"
    world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    world.wait(world.downstream.holding.is_set, "the body did not begin")
    os.kill(child_at_work(world), signal.SIGSTOP)  # deaf to its soft limit
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=20)

    assert "Hard time limit (3.0s) exceeded" in world.log("old")
    assert rows(world.database, "SELECT reason FROM dead_letters") == []
    assert world.broker.llen("billing") == 1
    world.downstream.let_go.set()
    world.start_worker("new", "billing")
    world.wait(lambda: rows(world.database, "SELECT 1 FROM invoices WHERE payment_state = 'paid'"), "it was lost")


def test_who_was_frozen_past_its_hard_limit_gives_up_nothing_that_its_successor_works_on(world: World) -> None:
    limits = {"soft_limit_seconds": "1", "hard_limit_seconds": "2"}
    first = world.start_worker("first", "billing", concurrency=1, **limits)
    world.downstream.hold = "POST /v1/charges"
    world.submit("charge_invoice", queue="billing", invoice_id="inv-1")
    world.wait(world.downstream.holding.is_set, "the body did not begin")
    os.killpg(first.pid, signal.SIGSTOP)
    world.start_worker("second", "billing", client_timeout_seconds="60")
    world.downstream.holding.clear()
    world.downstream.hold = "POST /v1/charges"
    assert world.redeliver() == 1
    world.wait(world.downstream.holding.is_set, "the job was not taken over")
    os.kill(first.pid, signal.SIGCONT)  # its child stays as it is
    world.wait(lambda: "Hard time limit (2.0s) exceeded" in world.log("first"), "the hard limit did not strike")

    assert rows(world.database, "SELECT reason FROM dead_letters") == []
    world.downstream.let_go.set()
    world.wait(lambda: " succeeded in " in world.log("second"), "the successor did not end")
    world.wait(lambda: not world.broker.hlen("unacked") and not world.broker.llen("billing"), "a message was left")
    assert world.downstream.count("POST /v1/charges") == 1
    assert rows(world.database, "SELECT reason FROM dead_letters") == []


def test_an_old_version_that_was_long_on_its_way_does_not_replace_a_newer_one(world: World) -> None:
    world.start_worker("sync", "sync", client_timeout_seconds="60")
    world.downstream.hold = "PUT /v1/customers"
    world.submit("sync_customer", queue="sync", customer_id="cust-1")
    world.wait(world.downstream.holding.is_set, "version 3 was not sent")
    with world.database.writing() as connection:
        connection.execute(sa.update(customers.customers).values(version=4, name="Ada Lovelace"))
    world.submit("sync_customer", queue="sync", customer_id="cust-1")
    world.wait(lambda: world.downstream.count("PUT /v1/customers/cust-1"), "version 4 was not sent")
    world.downstream.let_go.set()
    world.wait(lambda: world.log("sync").count(" succeeded in ") == 2, "the jobs did not end")

    assert [each.body["version"] for each in world.downstream.applied] == [4]
    assert [each.status for each in world.downstream.received] == [200, 412]
    customer = customers.find(world.database, "cust-1")
    assert customer is not None
    assert customer.synced_version == 4


def test_a_fenced_off_delivery_looks_after_the_end_that_it_leaves_to_another(world: World) -> None:
    first = frozen_at_an_export(world)
    second = world.start_worker("second", "exports", concurrency=1, claim_seconds="3")
    world.downstream.hold = "PUT /v1/exports"
    assert world.redeliver() == 1
    world.wait(lambda: not world.downstream.hold, "the export was not taken over")
    os.killpg(second.pid, signal.SIGKILL)  # it dies at work, after it has fenced the first one off
    second.wait()
    os.killpg(first.pid, signal.SIGCONT)
    world.downstream.let_go.set()

    world.wait(lambda: is_exported(world.database), "nobody finished the export")
    assert "somebody else does exp-1 now" in world.log("first")
    assert rows(world.database, "SELECT reason FROM dead_letters") == []


def test_a_wait_that_the_producer_asked_for_is_not_cut_short(world: World) -> None:
    world.start_worker("sync", "sync", retries_max="0", postpone_seconds="0.2", backoff_seconds="0.01")
    world.producer.send_task(
        "reference_worker.sync_customer", kwargs={"customer_id": "cust-1"}, queue="sync", countdown=3600
    )
    world.wait(lambda: "sync_customer" in world.log("sync"), "the message did not arrive")
    world.submit("sync_customer", queue="sync", customer_id="cust-none")
    world.wait(lambda: rows(world.database, "SELECT 1 FROM dead_letters"), "the other job did not end")
    assert world.downstream.received == []
    assert "a clock is wrong" not in world.log("sync")
