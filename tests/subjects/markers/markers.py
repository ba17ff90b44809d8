"""Calls that are made at most once, and never two of one customer's at a time: one forgets who has died in between."""

import fcntl
import json
import os
import urllib.request
from pathlib import Path

from celery import Celery

app = Celery("markers", broker=os.environ.get("MARKERS_BROKER"))
app.conf.task_acks_late = False


def call(customer: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['MARKERS_URL']}/calls",
        data=json.dumps({"customer": customer}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        answer.read()


def place(name: str) -> Path:
    folder = Path(os.environ["MARKERS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


@app.task(name="markers.left", max_retries=0)
def left(customer: str) -> None:
    """A marker says that somebody is at it, and stays when he dies."""
    marker = place(f"{customer}.busy")
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    call(customer)
    marker.unlink()
    place(f"{customer}.done").touch()


@app.task(name="markers.held", max_retries=0)
def held(customer: str) -> None:
    """A lock goes with whoever holds it."""
    with place(f"{customer}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place(f"{customer}.done").exists():
            return
        call(customer)
        place(f"{customer}.done").touch()
