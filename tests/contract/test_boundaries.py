"""A process is stopped exactly at the boundary that was named, whatever language and client it sends with."""

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from harness.boundaries import user_notify
from harness.boundaries.record import Boundary, Ended, Part, Struck, Unseen, lines
from harness.boundaries.rules import Action, Delay, Fail, Kill, Process, Rule, Side, Whom
from harness.boundaries.supervisor import Settings, SupervisorClient
from harness.services.broker import Broker, resolve, running_broker
from harness.session import Lane
from harness.waiting import wait_until
from tests.conftest import ROOT
from tests.contract.conftest import RunningLedger

pytestmark = pytest.mark.skipif(bool(user_notify.available()), reason=user_notify.available())

SENDERS = ROOT / "tests" / "subjects" / "senders"
TIMES = 20
KILLED = -9


@dataclass(frozen=True)
class Watch:
    """A supervisor that runs, and what may be done with it."""

    lane: Lane
    pid: int
    client: SupervisorClient
    record: Path
    listeners: Path

    def start(self, *words: str, role: str = "main", cwd: Path = SENDERS, **environment: str) -> int:
        """A program under the supervisor."""
        return self.lane.spawn(
            [sys.executable, "-P", user_notify.__file__, str(self.listeners), role, "--", *words],
            environment={**os.environ, **environment},
            cwd=cwd,
            log="subject.log",
        )

    def printed(self) -> str:
        """What the program has printed so far."""
        return (self.lane.directory / "subject.log").read_text()

    def run(self, *words: str, within: float = 60.0) -> str:
        """The same, to its end; how it ended."""
        pid = self.start(*words)
        return wait_until(lambda: self.lane.exit_of(pid), within=within, or_else=f"{words} did not end")

    def python(self, code: str) -> str:
        return self.run(sys.executable, "-c", code)

    @property
    def lines(self) -> list[Boundary | Struck | Unseen | Ended]:
        return lines(self.record)

    def boundaries(self) -> list[Boundary]:
        return [line for line in self.lines if isinstance(line, Boundary)]

    def names(self) -> list[tuple[str, int]]:
        return [(line.name, line.occurrence) for line in self.boundaries() if line.part is not Part.END]

    def strikes(self) -> list[Struck]:
        return [line for line in self.lines if isinstance(line, Struck)]

    def arm(self, name: str, side: Side, action: Action | None = None, *, occurrence: int = 1) -> None:
        rule = f"{name} #{occurrence}"
        self.client.arm(Rule(rule=rule, name=name, occurrence=occurrence, side=side, action=action or Kill()))


@contextmanager
def watching(lane: Lane, **dependencies: int) -> Iterator[Watch]:
    settings = Settings(
        record=str(lane.directory / "boundaries.jsonl"),
        listeners=str(lane.directory / "listeners.sock"),
        control=str(lane.directory / "supervisor.sock"),
        origin=time.monotonic(),
        dependencies=dependencies,
    )
    pid = lane.spawn(
        [sys.executable, "-P", "-m", "harness.boundaries.supervisor", msgspec.json.encode(settings).decode()],
        environment=dict(os.environ),
        cwd=lane.directory,
        log="supervisor.log",
    )
    client = SupervisorClient(Path(settings.control))

    def is_up() -> bool:
        try:
            return "calls" in client.status()
        except OSError:
            return False

    wait_until(is_up, within=20, or_else=(lane.directory / "supervisor.log").read_text() or "no supervisor")
    yield Watch(lane, pid, client, Path(settings.record), Path(settings.listeners))


@pytest.fixture
def watch(lane: Lane, ledger: RunningLedger) -> Iterator[Watch]:
    with watching(lane, ledger=ledger.port) as started:
        yield started


@pytest.fixture
def broker(lane: Lane) -> Iterator[Broker]:
    with running_broker(lane, resolve()) as started:
        yield started
        started.client.close()


@pytest.fixture
def redis_watch(lane: Lane, broker: Broker) -> Iterator[Watch]:
    with watching(lane, broker=broker.port) as started:
        yield started


def stopped(watch: Watch, client: str, port: int, names: list[tuple[str, int]], side: Side) -> list[str]:
    """Run a sender that is killed at each of the names, and once more undisturbed; what it was told each time."""
    for name, occurrence in names:
        watch.arm(name, side, occurrence=occurrence)
    notes = watch.lane.directory / "notes"
    ended = watch.run(sys.executable, "senders.py", client, str(port), str(len(names) + 1), str(notes))
    assert ended == "exit 0", watch.printed()
    assert [line for line in watch.lines if isinstance(line, Unseen)] == []
    strikes = watch.strikes()
    assert [len(strike.killed) for strike in strikes] == [1] * len(names)
    assert {strike.replied for strike in strikes} == {side is Side.AFTER}
    assert {line.process for line in watch.boundaries()} == {Process.CHILD}
    return notes.read_text().splitlines()


def told_nothing_but_the_last(answer: str) -> list[str]:
    killed = [f"{number} ended {KILLED}" for number in range(TIMES)]
    return [*killed, f"{TIMES} {answer}", f"{TIMES} ended 0"]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("client", ["requests", "urllib", "asyncio"])
def test_a_client_of_http_is_stopped_at_the_request(
    client: str, side: Side, watch: Watch, ledger: RunningLedger
) -> None:
    names = [(f"POST /v1/emails/{number}", 1) for number in range(TIMES)]
    notes = stopped(watch, client, ledger.port, names, side)
    assert notes == told_nothing_but_the_last("200")
    seen = [f"POST /v1/emails/{number}" for number in range(TIMES + 1) if side is Side.AFTER or number == TIMES]
    labels = [event.label for event in ledger.events() if type(event).__name__ == "EffectApplied"]
    assert labels == seen


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("client", "name", "answer"),
    [("redis", "HSET invoice-{}", "1"), ("redis_pipeline", "SET a-{0} + HSET invoice-{0}", "[True, 1]")],
)
def test_a_client_of_redis_is_stopped_at_the_command(
    client: str, name: str, answer: str, side: Side, redis_watch: Watch, broker: Broker
) -> None:
    names = [(name.format(number), 1) for number in range(TIMES)]
    notes = stopped(redis_watch, client, broker.port, names, side)
    assert notes == told_nothing_but_the_last(answer)
    seen = {f"invoice-{number}" for number in range(TIMES + 1) if side is Side.AFTER or number == TIMES}
    assert {key.decode() for key in broker.client.keys("invoice-*")} == seen


class Mailbox:
    def __init__(self) -> None:
        self.received: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        self.received += envelope.rcpt_tos
        return "250 OK"


class FreePort(Controller):
    """Listens where the system lets it."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.mark.parametrize("side", Side)
def test_a_client_of_smtp_is_stopped_at_the_mail(side: Side, lane: Lane) -> None:
    mailbox = Mailbox()
    controller = FreePort(mailbox, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        with watching(lane, mail=controller.port) as watch:
            names = [("SMTP message", number + 1) for number in range(TIMES)]
            notes = stopped(watch, "smtplib", controller.port, names, side)
    finally:
        controller.stop()
    assert notes == told_nothing_but_the_last("{}")
    assert mailbox.received == [f"{n}@x.test" for n in range(TIMES + 1) if side is Side.AFTER or n == TIMES]


@pytest.fixture(scope="session")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    program = tmp_path_factory.mktemp("sender") / "sender"
    subprocess.run([compiler, "-o", str(program), str(SENDERS / "sender.c")], check=True)
    return program


@pytest.mark.parametrize("side", Side)
def test_a_program_in_c_is_stopped_at_the_command(side: Side, sender: Path, redis_watch: Watch, broker: Broker) -> None:
    for number in range(TIMES):
        redis_watch.arm("SET from", side, occurrence=number + 1)
        assert redis_watch.run(str(sender), str(broker.port)) == "SIGKILL"
        assert broker.client.delete("from") == (side is Side.AFTER)
    assert redis_watch.run(str(sender), str(broker.port)) == "exit 0"
    assert {line.process for line in redis_watch.boundaries()} == {Process.MAIN}


def test_a_shell_is_stopped_at_the_command(redis_watch: Watch, broker: Broker) -> None:
    shell = f"exec 3<>/dev/tcp/127.0.0.1/{broker.port}; printf '*2\\r\\n$4\\r\\nINCR\\r\\n$5\\r\\nshell\\r\\n' >&3; read -u 3 line; echo $line"
    assert redis_watch.run("bash", "-c", shell) == "exit 0"
    assert redis_watch.printed().strip() == ":1"
    assert redis_watch.names() == [("INCR shell", 1)]
    redis_watch.client.reset()
    redis_watch.arm("INCR shell", Side.BEFORE)
    assert redis_watch.run("bash", "-c", shell) == "SIGKILL"
    assert broker.client.get("shell") == b"1"


PINGS = ROOT / "tests" / "subjects" / "pings"
ENQUEUE = "import pings; pings.ping.delay('a')"


def test_a_celery_worker_runs_a_job_to_its_end_unharmed_and_its_boundaries_are_told(
    lane: Lane, broker: Broker, ledger: RunningLedger
) -> None:
    environment = {"PINGS_BROKER": broker.url, "PINGS_URL": ledger.url}
    with watching(lane, broker=broker.port, ledger=ledger.port) as watch:
        watch.start(
            *(sys.executable, "-m", "celery", "-A", "pings", "worker", "-c", "1", "-l", "INFO"),
            cwd=PINGS,
            **environment,
        )
        wait_until(lambda: "ready." in watch.printed(), within=60, or_else="the worker was not ready")
        watch.client.reset()
        subprocess.run([sys.executable, "-c", ENQUEUE], cwd=PINGS, env={**os.environ, **environment}, check=True)
        wait_until(lambda: "succeeded" in watch.printed(), within=30, or_else="the job did not end")
        wait_until(lambda: not broker.client.exists("unacked"), within=10, or_else="it was not acknowledged")
        print(watch.printed())
        for l in watch.lines:
            print(l)
        print(watch.client.status())
        assert 0
