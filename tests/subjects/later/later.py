"""Jobs that are tried again minutes later: one does its effect anew each time, one asks for it under the same key."""

import json
import os
import urllib.request
import uuid
from typing import Any

from celery import Celery

app = Celery("later", broker=os.environ.get("LATER_BROKER"))
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
MINUTES_SECONDS = 300


def post(number: int, key: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['LATER_URL']}/charges",
        data=json.dumps({"number": str(number)}).encode(),
        headers={"Idempotency-Key": key, "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        answer.read()


@app.task(name="later.anew", bind=True, max_retries=3)
def anew(self: Any, number: int) -> None:
    try:
        post(number, uuid.uuid4().hex)
    except OSError as error:
        raise self.retry(exc=error, countdown=MINUTES_SECONDS) from error


@app.task(name="later.same", bind=True, max_retries=3)
def same(self: Any, number: int) -> None:
    try:
        post(number, f"charge-{number}")
    except OSError as error:
        raise self.retry(exc=error, countdown=MINUTES_SECONDS) from error
