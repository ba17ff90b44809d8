"""A broker, a database and one real worker, and hand-made messages for it."""

import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from harness.services import broker
from harness.waiting import wait_until
from reference_worker.database import Database
from reference_worker.dead_letters.letter import DeadLetter
from reference_worker.dead_letters.table import Table
from reference_worker.dead_letters.transport import PARKED_KEY

ROOT = Path(__file__).parent.parent.parent
SECONDS = 15.0
QUEUE = "sync"  # one of the reference worker's own, into which its command gives back


class Scene:
    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.broker = redis.Redis(port=port, socket_timeout=10)
        self.database = directory / "letters.db"
        self.spool = directory / "spool"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "REFERENCE_WORKER_BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "REFERENCE_WORKER_DATABASE_URL": f"sqlite:///{self.database}",
            "REFERENCE_WORKER_SPOOL_DIRECTORY": str(self.spool),
            "REFERENCE_WORKER_SPOOL_RETRY_SECONDS": "0.2",
            "REFERENCE_WORKER_BODY_BYTES_MAX": "100000",
        }
        self.table = Table(Database(self.environment["REFERENCE_WORKER_DATABASE_URL"]).engine)
        self.table.create()
        (directory / "done").mkdir()

    # The worker

    @contextmanager
    def worker(self, *, pool: str = "prefork", **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        log = (self.directory / "worker.log").open("ab")
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "celery", "-A", "tests.reference_worker.letters_app:app", "worker"),
                *(
                    "--pool",
                    pool,
                    "--concurrency",
                    "2",
                    "--loglevel",
                    "INFO",
                    "--hostname",
                    f"w{uuid.uuid4().hex[:6]}@h",
                ),
                *("--without-mingle", "--without-gossip", "--without-heartbeat"),
            ],
            cwd=self.directory,
            env={**self.environment, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)
            log.close()

    def log(self) -> str:
        return (self.directory / "worker.log").read_text(errors="replace")

    def command(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "reference_worker", *words],
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    # Messages

    def push(self, item: bytes | dict[str, Any]) -> None:
        self.broker.lpush(QUEUE, item if isinstance(item, bytes) else json.dumps(item))

    def do_a_good_job(self) -> None:
        """Enqueue one and wait until it is done: the worker still listens."""
        marker = uuid.uuid4().hex
        self.push(envelope("letters.done", [marker]))
        wait_until((self.directory / "done" / marker).exists, within=SECONDS, or_else="the good job was not done")

    # What is on record

    def letters(self) -> list[DeadLetter]:
        return self.table.all()

    def letter(self, message_id: str) -> DeadLetter:
        return wait_until(lambda: self.table.get(message_id), within=SECONDS, or_else=f"no dead letter {message_id}")

    def drained(self) -> None:
        """Nothing is left at the broker: not queued, not unacknowledged, not parked."""
        wait_until(lambda: not self.left(), within=SECONDS, or_else=f"the broker was not drained of {self.left()}")

    def left(self) -> list[str]:
        return [key for key in (QUEUE, "unacked", "unacked_index", PARKED_KEY) if self.broker.exists(key)]

    @contextmanager
    def table_hidden(self) -> Iterator[None]:
        self._rename("dead_letters", "hidden")
        try:
            yield
        finally:
            self._rename("hidden", "dead_letters")

    def _rename(self, old: str, new: str) -> None:
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """A broker of its own, on a free port of the loopback interface."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [broker.resolve().path, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)],
        stdout=subprocess.DEVNULL,
    )
    try:
        made = Scene(directory, port)
        wait_until(lambda: _answers(made.broker), within=SECONDS, or_else="the broker did not start")
        try:
            yield made
        finally:
            made.broker.close()
    finally:
        server.kill()
        server.wait(SECONDS)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def envelope(
    task: Any,
    arguments: Any = (),
    *,
    message_id: Any = None,
    body: bytes | None = None,
    headers: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A message as Celery's own producer makes it; `changes` replace parts of the envelope."""
    content = json.dumps([arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
    known = {"lang": "py", "task": task, "id": message_id or str(uuid.uuid4()), "retries": 0, "timelimit": [None, None]}
    return {
        "body": base64.b64encode(content if body is None else body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**known, "root_id": None, "parent_id": None, "argsrepr": "", "kwargsrepr": "", **(headers or {})},
        "properties": {
            "correlation_id": "c",
            "reply_to": "r",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
        **changes,
    }
