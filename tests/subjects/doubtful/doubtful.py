"""Subjects that do what subjects do to whoever starts them; DOUBT says which."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from celery import Celery
from celery.signals import worker_init, worker_ready

DOUBT, MARK = os.environ["DOUBT"], os.environ["MARK"]
HOURS = 3600 * 3
SLEEP = f"import time; time.sleep({HOURS})"
# It leaves its parent, its session and its environment behind, as daemons do.
DAEMON = "import subprocess, sys; subprocess.Popen(sys.argv[1:], env={}, start_new_session=True)"

with Path(os.environ["SEEN"]).open("a") as seen:  # folders that are to be gone afterwards
    print(os.environ["SCRATCH"], file=seen)

app = Celery("doubtful")
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True)

if DOUBT == "does-not-import":
    raise RuntimeError("the database is not migrated")
if DOUBT == "hangs-on-import":
    time.sleep(HOURS)
if DOUBT == "needs-a-setting":
    os.environ["STRIPE_API_KEY"]


@worker_init.connect
def on_worker_init(**_: object) -> None:
    if DOUBT == "never-starts":
        sys.exit(3)
    if DOUBT == "hangs-on-start":
        time.sleep(HOURS)


@worker_ready.connect
def on_worker_ready(**_: object) -> None:
    if DOUBT == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def note(number: int) -> None:
    url = f"{os.environ['NOTES_URL']}/notes/{number}"
    key = {"Idempotency-Key": f"note-{number}"}
    request = urllib.request.Request(url, data=b"{}", method="PUT", headers=key)  # noqa: S310 - the ledger's URL
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - as above
        pass


if DOUBT != "has-no-task":

    @app.task(name="doubtful.take_note")
    def take_note(number: int) -> None:
        if DOUBT == "prints-megabytes":
            sys.stderr.write("\x1b[31mall is well\n" * 300_000)
        if DOUBT == "forks-a-daemon":
            subprocess.run([sys.executable, "-c", DAEMON, sys.executable, "-c", SLEEP, MARK], check=True)
        if DOUBT == "fails":
            raise LookupError("no such note: \x1b[31m" + "x" * 2000)
        if DOUBT == "hangs":
            time.sleep(HOURS)
        if DOUBT == "does-nothing":
            return
        note(number)
