"""Reports that are written to files: two tasks that do it as it should not be done, and one as it should."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery

app = Celery("exports", broker=os.environ.get("CELERY_BROKER_URL"))
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
app.conf.task_ignore_result = True
app.conf.task_time_limit = 60
app.conf.worker_prefetch_multiplier = 1

ROWS = 500


def folder(name: str) -> Path:
    found = Path(os.environ["EXPORTS"]) / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def lines(month: int) -> Iterator[str]:
    yield "day,amount\n"
    for day in range(ROWS):
        yield f"{month}-{day},{day * month}.00 EUR, as agreed\n"


@app.task(name="exports.in_place")
def in_place(month: int) -> None:
    """Whoever dies while writing leaves half a report, which the next attempt takes for a whole one."""
    path = folder("monthly") / f"{month}.csv"
    if not path.exists():
        with path.open("w") as file:
            file.writelines(lines(month))


@app.task(name="exports.under_any_name")
def under_any_name(month: int) -> None:
    """Each attempt leaves a report of its own."""
    path = folder("receipts") / f"receipt-{uuid.uuid4()}.txt"
    path.write_text(f"receipt for month {month}\n")


@app.task(name="exports.published")
def published(month: int) -> None:
    """Written under another name, and there as a whole or not at all; the second attempt writes the same."""
    home = folder("published")
    text = "".join((f"made at {datetime.now(UTC).isoformat()}\n", *lines(month)))
    with tempfile.NamedTemporaryFile("w", dir=home, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(home / f"{month}.csv")
