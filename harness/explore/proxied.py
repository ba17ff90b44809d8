"""The interception that works everywhere: proxies that count messages stand in front of whom the worker talks to."""

from harness.boundaries.clients import LocalClients
from harness.boundaries.message_proxies import MessageProxies, Route
from harness.boundaries.record import Line
from harness.explore.interception import CRASH, ByRules, Strike, rule_of
from harness.explore.naming import Naming
from harness.explore.points import CrashPoint
from harness.runtimes.home import LaneHome
from harness.runtimes.process import LocalSystem


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


def proxies_of(system: LocalSystem) -> MessageProxies:
    """In front of what a lane's subject talks to, which must listen `behind` them."""
    lane, home, nodes = system.lane, system.home, system.workers.nodes
    return MessageProxies(
        routes_of(home),
        LocalClients(mains=lambda: [node.pid for node in nodes.values() if node.pid], others=lane.running),
        origin=system.recorder.origin,
    )


def routes_of(home: LaneHome) -> dict[str, Route]:
    return {
        "broker": Route(listen=home.ports.broker, upstream=home.behind.broker),
        "ledger": Route(listen=home.ports.http, upstream=home.behind.http),
        "smtp": Route(listen=home.ports.smtp, upstream=home.behind.smtp),
    }
