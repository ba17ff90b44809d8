"""The interception that works everywhere: proxies that count messages stand in front of whom the worker talks to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.boundaries.clients import LocalClients
from harness.boundaries.message_proxies import MessageProxies
from harness.boundaries.record import Line
from harness.explore.interception import CRASH, ByRules, Strike, rule_of
from harness.explore.naming import Naming
from harness.explore.points import CrashPoint
from harness.runtimes.lane_system import LaneSystem


class Proxied(ByRules):
    """By message-counting proxies in front of broker and ledger."""

    name = "message-counting proxies in front of the broker and the played downstream"
    cannot_see: tuple[str, ...] = (
        "commits of SQLite databases and other changes of files; whatever does not go to the broker or the played "
        "downstream; clear text under TLS; what a process sends on a connection that it has inherited counts as its "
        "opener's; what happens between two messages, so each crash is tried for itself",
    )

    def __init__(self, proxies: MessageProxies, *, naming: Naming) -> None:
        super().__init__(naming)
        self._proxies = proxies

    def begin(self, *, lines: bool = False) -> None:
        del lines  # not known here
        self.disarm()
        self._proxies.reset()

    def arm(self, point: CrashPoint) -> None:
        self._proxies.armed.arm(rule_of(point))

    def disarm(self) -> None:
        self._proxies.armed.disarm(CRASH)

    def struck(self, *, within: float) -> Strike | None:
        struck = self._proxies.armed.struck(CRASH, within=within)
        return None if struck is None else self._strike(struck)

    def _lines(self) -> tuple[Line, ...]:
        return self._proxies.lines()


@contextmanager
def proxies_of(system: LaneSystem[Any]) -> Iterator[MessageProxies]:
    """In front of what a lane's subject talks to, which must listen behind them.

    :raises HarnessError: they cannot stand there
    """
    nodes = system.workers.nodes
    clients = LocalClients(mains=lambda: [node.pid for node in nodes.values() if node.pid], others=system.lane.running)
    with (
        system.home.routes(system.services) as routes,
        MessageProxies(routes, clients, origin=system.recorder.origin) as proxies,
    ):
        yield proxies
