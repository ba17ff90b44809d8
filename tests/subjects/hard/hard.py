"""Jobs that are hard to explore: each must get an answer, and none may hold anybody up."""

import json
import os
import socket
import ssl
import time
import urllib.request
from pathlib import Path

from celery import Celery

app = Celery("hard", broker=os.environ.get("HARD_BROKER"))
app.conf.result_backend = os.environ.get("HARD_RESULTS") or None
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True


def tell(number: int, *, part: str = "") -> None:
    request = urllib.request.Request(  # noqa: S310 - the ledger's loopback URL
        f"{os.environ['HARD_URL']}/told{part}",
        data=json.dumps({"number": str(number)}).encode(),
        headers={"Idempotency-Key": f"{number}{part}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        answer.read()


@app.task(name="hard.forks")
def forks(number: int) -> None:
    """The sending is done by a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            tell(number)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


@app.task(name="hard.endless")
def endless(number: int) -> None:
    tell(number)
    while True:
        time.sleep(60)


@app.task(name="hard.silent")
def silent(number: int) -> None:
    """Nothing leaves the process."""
    del number


@app.task(name="hard.fickle")
def fickle(number: int) -> None:
    """Another path in each run."""
    count = Path(os.environ["HARD_COUNT"])
    with count.open("ab") as file:
        file.write(b".")
    tell(number, part=f"/{'abcdefghijklmnop'[count.stat().st_size % 16]}")


@app.task(name="hard.encrypted")
def encrypted(number: int) -> None:
    """What goes through TLS is seen to go, and not what it is."""
    context = ssl.create_default_context(cafile=os.environ["HARD_CERTIFICATE"])
    context.check_hostname = False
    port = int(os.environ["HARD_TLS_PORT"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain) as link,
    ):
        link.sendall(b"PUT /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        link.recv(99)
    tell(number)


@app.task(name="hard.twice")
def twice(number: int) -> None:
    """Two effects, each with its key: whatever is done again is known."""
    tell(number, part="/first")
    tell(number, part="/second")


@app.task(name="hard.thrice")
def thrice(number: int) -> None:
    tell(number, part="/first")
    tell(number, part="/second")
    tell(number, part="/third")


@app.task(name="hard.publishes")
def publishes(number: int) -> None:
    """A file that is there whole or not at all, then word of it."""
    shelf = Path(os.environ["HARD_SHELF"])
    shelf.mkdir(exist_ok=True)
    part = shelf / "part"
    with part.open("w") as file:
        file.write("whole")
        file.flush()
        os.fsync(file.fileno())
    part.rename(shelf / f"report-{number}.csv")
    tell(number)
