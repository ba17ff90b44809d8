"""What a worker does with a job that it can do nothing for at the moment, through no fault of the job's."""

import errno
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from reference_worker import postponing
from reference_worker.jobs import base
from reference_worker.jobs.generate_export import holder_of
from reference_worker.jobs.sync_customer import sync_customer
from reference_worker.postponing import postpone


def unpublishable() -> Any:
    def signature(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor is left for a connection")

    return SimpleNamespace(
        request=SimpleNamespace(args=(), kwargs={}, retries=0, id="m1"), signature_from_request=signature
    )


def test_what_cannot_be_published_goes_back_to_the_broker_and_not_at_once() -> None:
    began = time.monotonic()
    outcome = postpone(unpublishable(), 0.2)
    assert isinstance(outcome, Reject)
    assert outcome.requeue
    assert time.monotonic() - began >= 0.2


def test_a_soft_limit_while_it_waits_sends_it_back_and_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(postponing, "time", SimpleNamespace(sleep=interrupted))
    outcome = postpone(unpublishable(), 5)
    assert isinstance(outcome, Reject)
    assert outcome.requeue


def attempt(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_customer_id: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(sync_customer, "run", run)
    monkeypatch.setattr(base, "postpone", lambda _task, seconds: Ignore(f"postponed by {seconds:g} s"))
    sync_customer._attempt(("cust-1",), {})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EIO])
def test_what_ails_the_worker_s_own_machine_postpones_the_job(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Ignore, match="postponed"):
        attempt(number, monkeypatch)


def test_a_file_that_is_missing_is_the_job_s_own_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        attempt(errno.ENOENT, monkeypatch)


def test_a_postponed_message_is_the_holder_of_its_own_claim_and_one_that_was_fenced_off_is_another() -> None:
    as_sent = {"id": "m1", "task": "reference_worker.generate_export", "retries": 0}
    postponed = {**as_sent, "eta": "2026-01-01T00:00:00+00:00", postponing.HEADER: True}
    assert holder_of(Context(as_sent)) == holder_of(Context(postponed)) == "m1"
    assert holder_of(Context({**postponed, "reference_fenced_off_with": 2})) == "2 m1"
