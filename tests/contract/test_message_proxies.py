"""Proxies hold exactly the message that was named: killed before, nothing of it arrives; after, all of it has."""

import asyncio
import os
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from harness.boundaries.clients import LocalClients
from harness.boundaries.message_proxies import MessageProxies, Route
from harness.boundaries.record import Boundary, Part, Struck, Unseen
from harness.boundaries.rules import Delay, Kill, Process, Rule, Side, Whom
from harness.services.broker import Broker
from harness.services.ports import claimed_ports
from harness.session import HarnessError, LocalLane
from harness.waiting import wait_until
from tests.conftest import ROOT
from tests.contract.conftest import RunningLedger, running_broker
from tests.postgresql import postgresql_url

SENDERS = ROOT / "tests" / "subjects" / "senders"
TIMES = 5
KILLED = -9


@dataclass(frozen=True)
class Between:
    """Proxies that stand before one server, and what may be done with them."""

    lane: LocalLane
    port: int  # where clients are to call
    proxies: MessageProxies
    mains: list[int] = field(default_factory=list)

    def start(self, *words: str, is_main: bool = True) -> int:
        pid = self.lane.spawn(list(words), environment=dict(os.environ), cwd=SENDERS, log="subject.log")
        if is_main:
            self.mains.append(pid)
        return pid

    def run(self, *words: str, is_main: bool = True) -> str:
        """A program to its end; how it ended."""
        pid = self.start(*words, is_main=is_main)
        return wait_until(lambda: self.lane.exit_of(pid), within=60, or_else=f"{words} did not end")

    def printed(self) -> str:
        return (self.lane.directory / "subject.log").read_text()

    def arm(self, name: str, side: Side, *, occurrence: int = 1, whom: Whom = Whom.SENDER) -> None:
        action = Kill(whom=whom)
        self.proxies.armed.arm(
            Rule(rule=f"{name} #{occurrence}", name=name, occurrence=occurrence, side=side, action=action)
        )

    def struck(self, rule: str) -> Struck:
        """A strike is told after it was carried out: who was killed has ended by then."""
        struck = self.proxies.armed.struck(rule, within=30)
        assert struck is not None
        return struck

    def all_of(self, kind: type[Any]) -> list[Any]:
        return [line for line in self.proxies.lines() if isinstance(line, kind)]

    def names(self) -> list[tuple[str, int]]:
        return [(line.name, line.occurrence) for line in self.all_of(Boundary) if line.part is not Part.END]


@contextmanager
def standing_between(lane: LocalLane, upstream: int) -> Iterator[Between]:
    mains: list[int] = []
    with claimed_ports(lane.directory.parent.parent, 1) as (port,):
        clients = LocalClients(mains=lambda: tuple(mains), others=lane.running)
        routes = {"server": Route(listen=f"127.0.0.1:{port}", upstream=f"127.0.0.1:{upstream}")}
        with MessageProxies(routes, clients, origin=time.monotonic()) as proxies:
            yield Between(lane, port, proxies, mains)


@pytest.fixture
def broker(lane: LocalLane) -> Iterator[Broker]:
    with running_broker(lane) as running:
        yield running


@pytest.fixture
def before_broker(lane: LocalLane, broker: Broker) -> Iterator[Between]:
    with standing_between(lane, broker.port) as between:
        yield between


def stopped(between: Between, client: str, names: list[tuple[str, int]], side: Side, answer: str) -> None:
    """A sender is killed at each of the names, and sends once more undisturbed; it was told nothing but then."""
    for name, occurrence in names:
        between.arm(name, side, occurrence=occurrence)
    notes = between.lane.directory / "notes"
    ended = between.run(sys.executable, "senders.py", client, str(between.port), str(len(names) + 1), str(notes))
    assert ended == "exit 0", between.printed()
    assert between.all_of(Unseen) == []
    strikes = [between.struck(f"{name} #{occurrence}") for name, occurrence in names]
    assert [(len(strike.killed), strike.error) for strike in strikes] == [(1, "")] * len(names)
    assert {strike.replied for strike in strikes} == {side is Side.AFTER}
    assert {line.process for line in between.all_of(Boundary)} == {Process.CHILD}
    killed = [f"{number} ended {KILLED}" for number in range(len(names))]
    assert notes.read_text().splitlines() == [*killed, f"{len(names)} {answer}", f"{len(names)} ended 0"]


def arrived(side: Side) -> list[int]:
    """The numbers of the sends that the server is to have seen."""
    return [number for number in range(TIMES + 1) if side is Side.AFTER or number == TIMES]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("client", ["requests", "urllib", "asyncio"])
def test_a_client_of_http_is_stopped_at_the_request(
    client: str, side: Side, lane: LocalLane, ledger: RunningLedger
) -> None:
    with standing_between(lane, ledger.port) as between:
        names = [(f"POST /v1/emails/{number}", 1) for number in range(TIMES)]
        stopped(between, client, names, side, "200")
    requests = [event.label for event in ledger.events() if type(event).__name__ == "EffectRequested"]
    applied = [event.label for event in ledger.events() if type(event).__name__ == "EffectApplied"]
    assert requests == applied == [f"POST /v1/emails/{number}" for number in arrived(side)]


@pytest.mark.parametrize("side", Side)
def test_a_client_of_smtp_is_stopped_at_the_mail(side: Side, lane: LocalLane, ledger: RunningLedger) -> None:
    with standing_between(lane, ledger.smtp_port) as between:
        stopped(between, "smtplib", [("SMTP message", number + 1) for number in range(TIMES)], side, "{}")
    applied = [event for event in ledger.events() if type(event).__name__ == "EffectApplied"]
    assert len(applied) == len(arrived(side))


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    ("client", "name", "answer"),
    [("redis", "HSET invoice-{}", "1"), ("redis_pipeline", "SET a-{0} + HSET invoice-{0}", "[True, 1]")],
)
def test_a_client_of_redis_is_stopped_at_the_command(
    client: str, name: str, answer: str, side: Side, before_broker: Between, broker: Broker
) -> None:
    names = [(name.format(number), 1) for number in range(TIMES)]
    stopped(before_broker, client, names, side, answer)
    assert {key.decode() for key in broker.client.keys("invoice-*")} == {f"invoice-{each}" for each in arrived(side)}


BOOK = """
import os, psycopg
for number in range({count}):
    child = os.fork()
    if child == 0:
        with psycopg.connect(host="127.0.0.1", port={port}, user="postgres", dbname="postgres") as link:
            link.execute("SELECT 1")
            link.execute("INSERT INTO proxied VALUES (%s)", [number])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def on_a_port(path: str) -> Iterator[int]:
    """A server that listens on a Unix socket only, on a loopback port."""
    loop = asyncio.new_event_loop()

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            to.write(data)
        to.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(join, "127.0.0.1", 0), loop).result(10)
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.parametrize("side", Side)
def test_a_commit_of_postgresql_is_held_with_all_that_it_makes_true(side: Side, lane: LocalLane) -> None:
    url = postgresql_url().replace("+psycopg", "")
    directory = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["host"][0]
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("DROP TABLE IF EXISTS proxied")
        link.execute("CREATE TABLE proxied (number int)")
        with on_a_port(f"{directory}/.s.PGSQL.5432") as port, standing_between(lane, port) as between:
            for number in range(TIMES):
                between.arm("COMMIT (INSERT proxied)", side, occurrence=number + 1)
            code = BOOK.format(count=TIMES + 1, port=between.port)
            assert between.run(sys.executable, "-c", code) == "exit 0", between.printed()
            assert between.printed().split() == [str(KILLED)] * TIMES + ["0"]
            assert between.names() == [("COMMIT (INSERT proxied)", number + 1) for number in range(TIMES + 1)]
        booked = link.execute("SELECT number FROM proxied ORDER BY number").fetchall()
    assert [number for (number,) in booked] == arrived(side)


SEND_AND_SLEEP = """
import os, signal, time, redis
child = os.fork()
if child == 0:
    redis.Redis(port={port}, retry=None).set("k", "v")
    print("told", flush=True)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("whom", "count"), [(Whom.MAIN, 1), (Whom.GROUP, 2)])
def test_a_main_process_is_killed_at_a_message_of_its_child(
    whom: Whom, count: int, before_broker: Between, broker: Broker
) -> None:
    before_broker.arm("SET k", Side.BEFORE, whom=whom)
    pid = before_broker.start(sys.executable, "-c", SEND_AND_SLEEP.format(port=before_broker.port))
    struck = before_broker.struck("SET k #1")
    assert struck.killed[0] == pid
    assert len(struck.killed) == count
    # The child outlives its main process if nobody kills it: then it goes on as if nothing had been done.
    if whom is Whom.MAIN:
        wait_until(lambda: broker.client.get("k"), within=10, or_else="the message of who lives on was not passed on")
    else:
        assert broker.client.get("k") is None


def test_a_message_that_is_delayed_is_passed_on_afterwards(before_broker: Between, broker: Broker) -> None:
    rule = Rule(rule="late", name="SET k", side=Side.BEFORE, action=Delay(seconds=0.1))
    before_broker.proxies.armed.arm(rule)
    code = f"import redis; print(redis.Redis(port={before_broker.port}).set('k', 'v'))"
    assert before_broker.run(sys.executable, "-c", code) == "exit 0"
    assert before_broker.printed().strip() == "True"
    assert broker.client.get("k") == b"v"
    assert before_broker.struck("late").error == ""


def test_who_belongs_to_no_main_process_passes_and_is_not_counted(before_broker: Between, broker: Broker) -> None:
    code = f"import redis; redis.Redis(port={before_broker.port}).set('k', 'v')"
    assert before_broker.run(sys.executable, "-c", code, is_main=False) == "exit 0"
    assert before_broker.names() == before_broker.all_of(Unseen) == []
    assert before_broker.run(sys.executable, "-c", code) == "exit 0"
    assert before_broker.names() == [("SET k", 1)]
    assert broker.client.get("k") == b"v"


def test_whose_sender_cannot_be_found_passes_and_is_told_as_unseen(before_broker: Between, broker: Broker) -> None:
    with socket.create_connection(("127.0.0.1", before_broker.port), timeout=10) as stranger:
        stranger.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
        assert stranger.recv(100) == b"+OK\r\n"
    assert broker.client.get("k") == b"v"
    (unseen,) = before_broker.all_of(Unseen)
    assert "SET k" in unseen.reason


def test_a_worker_that_calls_before_it_is_known_as_one_is_stopped_all_the_same(
    before_broker: Between, broker: Broker
) -> None:
    """As in a container, whose program runs before its number is known."""
    code = f"""
import socket, sys
link = socket.create_connection(("127.0.0.1", {before_broker.port}))
link.sendall(b"*1\\r\\n$4\\r\\nPING\\r\\n")
link.recv(100)
print("connected", flush=True)
link.sendall(b"*3\\r\\n$5\\r\\nBLPOP\\r\\n$4\\r\\nwait\\r\\n$1\\r\\n0\\r\\n")
link.recv(100)
link.sendall(b"*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$1\\r\\nv\\r\\n")
link.recv(100)
"""
    before_broker.arm("SET k", Side.BEFORE)
    pid = before_broker.start(sys.executable, "-c", code, is_main=False)
    wait_until(lambda: "connected" in before_broker.printed(), within=30, or_else="it did not connect")
    before_broker.mains.append(pid)
    broker.client.lpush("wait", "go on")
    assert before_broker.struck("SET k #1").killed == (pid,)
    assert broker.client.get("k") is None


def test_an_answer_that_may_be_to_an_earlier_message_is_told(before_broker: Between) -> None:
    """The first command blocks; a second one is sent behind it and nobody has answered anything by then."""
    code = f"""
import socket, threading
link = socket.create_connection(("127.0.0.1", {before_broker.port}))
link.sendall(b"*3\\r\\n$5\\r\\nBLPOP\\r\\n$4\\r\\nnone\\r\\n$3\\r\\n0.5\\r\\n")
threading.Event().wait(0.2)
link.sendall(b"*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$1\\r\\nv\\r\\n")
link.recv(100)
"""
    before_broker.arm("SET k", Side.AFTER)
    assert before_broker.run(sys.executable, "-c", code) == "SIGKILL"
    assert "earlier message" in before_broker.struck("SET k #1").error


def test_an_address_that_is_taken_is_an_error_of_the_harness() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        routes = {"server": Route(listen=f"127.0.0.1:{taken.getsockname()[1]}", upstream="127.0.0.1:1")}
        proxies = MessageProxies(routes, LocalClients(mains=tuple, others=tuple), origin=0.0)
        with pytest.raises(HarnessError, match="in front of"), proxies:
            pass
